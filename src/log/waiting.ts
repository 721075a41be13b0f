import type { HedgerowError } from "../errors.ts";
import type { NewEntry } from "../store/ports.ts";

/** A put that waits for its commit. */
export interface Waiting {
  readonly entry: NewEntry;
  readonly bytes: number;
  /** After this (own clock, milliseconds) nobody waits for it: it is not written any more. */
  readonly deadline: number;
  readonly resolve: (timestamp: number) => void;
  readonly reject: (error: HedgerowError) => void;
}

export interface BatchLimits {
  readonly batchEntries: number;
  readonly batchBytes: number;
}

export interface Batch {
  readonly batch: Waiting[];
  /** What nobody waits for any more. */
  readonly expired: Waiting[];
}

/** Entries of one key in their order; `next` is the first that waits. */
interface Line {
  readonly entries: Waiting[];
  next: number;
}

/** The puts that wait, by key: cutting a batch costs as much as the batch, however many wait behind it. */
export class WaitingPuts {
  readonly #lines = new Map<string, Line>();
  #size = 0;
  #bytes = 0;

  get size(): number {
    return this.#size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(waiting: Waiting): void {
    const { key } = waiting.entry;
    const line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, { entries: [waiting], next: 0 });
    else line.entries.push(waiting);
    this.#size++;
    this.#bytes += waiting.bytes;
  }

  /**
   * Cuts the next commit off: one entry per key, within the limits (an entry over the limit of bytes goes
   * alone). Keys take turns; of one key the order is that of arrival.
   */
  take(now: number, limits: BatchLimits): Batch {
    const batch: Waiting[] = [];
    const expired: Waiting[] = [];
    let bytes = 0;
    // A key that has more goes behind the others: the loop must not meet it again.
    for (const [key, line] of [...this.#first(limits.batchEntries)]) {
      let first = line.entries[line.next];
      while (first !== undefined && first.deadline <= now) {
        expired.push(first);
        this.#drop(line, first);
        first = line.entries[line.next];
      }
      const fits =
        first !== undefined && (batch.length === 0 || bytes + first.bytes <= limits.batchBytes);
      if (first !== undefined && fits) {
        batch.push(first);
        bytes += first.bytes;
        this.#drop(line, first);
      }
      if (line.next === line.entries.length) {
        this.#lines.delete(key);
      } else if (fits) {
        this.#lines.delete(key);
        this.#lines.set(key, line);
      }
      if (!fits && first !== undefined) break;
    }
    return { batch, expired };
  }

  /** Takes all, of each key in their order. */
  takeAll(): Waiting[] {
    const all = [...this.#lines.values()].flatMap(({ entries, next }) => entries.slice(next));
    this.#lines.clear();
    this.#size = 0;
    this.#bytes = 0;
    return all;
  }

  *#first(count: number): Generator<[string, Line]> {
    let left = count;
    for (const entry of this.#lines) {
      if (left-- === 0) return;
      yield entry;
    }
  }

  #drop(line: Line, waiting: Waiting): void {
    line.next++;
    this.#size--;
    this.#bytes -= waiting.bytes;
    // Gives the room of those that are gone back, now and then.
    if (line.next >= 1_024 && line.next * 2 >= line.entries.length) {
      line.entries.splice(0, line.next);
      line.next = 0;
    }
  }
}
