import { HedgerowError } from "../errors.ts";
import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { lostRecords } from "./errors.ts";
import { Placer, type PlacerOptions } from "./placer.ts";
import type { Segment } from "./segment.ts";
import { type Filling, Supply, type SupplyOptions } from "./supply.ts";

export interface AppenderOptions
  extends SupplyOptions, Omit<PlacerOptions, "closing" | "onPlaced"> {
  readonly clock: Clock;
}

/** Fills one segment after the other: the last one is being filled, those before it are placed. */
export class Appender {
  #active: Filling | null = null;
  /** The active one, as long as a record may go the short way. */
  #open: Segment | null = null;
  /** Appends that wait, one of each writer at the most, and the end of the last one. */
  #waiting = 0;
  #turn: Promise<void> | null = null;
  readonly #supply: Supply;
  readonly #placer: Placer;
  readonly #closing = new AbortController();

  constructor(private readonly options: AppenderOptions) {
    this.#supply = new Supply(options);
    this.#placer = new Placer({
      ...options,
      closing: this.#closing.signal,
      onPlaced: () => this.#supply.unstaged(),
    });
    options.catalog.onLost = () => {
      this.#open = null; // the next record goes the long way, which says so
    };
  }

  /** Nothing if the record has been taken, else a promise that resolves when it has been. */
  append(record: Uint8Array): Promise<void> | undefined {
    const open = this.#open;
    return open?.append(record) === true ? undefined : this.#appendSlowly(record);
  }

  /** Stops placing; resolves when nothing is placed any more. What there is, is the caller's to free. */
  async close(why: HedgerowError): Promise<void> {
    this.#open = null;
    this.#active = null;
    this.#closing.abort(why);
    await this.#placer.allPlaced();
  }

  #appendSlowly(record: Uint8Array): Promise<void> | undefined {
    this.#check();
    if (this.#open === null && this.#reopen()?.append(record) === true) return undefined;
    if (this.#waiting === 0 && this.#active?.segment.appendOn(record) === true) {
      // What is sent needs the event loop, which whoever appends on and on would keep from its turns.
      return this.#placer.isSending ? sleep(this.options.clock, 0) : undefined;
    }
    const { name, limits } = this.options;
    if (record.length > limits.segmentBytes) {
      throw new HedgerowError(
        "too_large",
        `spill store ${name}: a record of ${record.length} bytes, the limit is ${limits.segmentBytes}: split it, or give the store more memory or disk`,
      );
    }
    const fresh = this.#waiting > 0 ? null : this.#advance(record.length);
    if (fresh === null) return this.#appendLater(record);
    fill(fresh, record);
    return undefined;
  }

  async #appendLater(record: Uint8Array): Promise<void> {
    const before = this.#turn;
    const { promise: turn, resolve: done } = Promise.withResolvers<void>();
    this.#turn = turn;
    this.#waiting++;
    this.#open = null; // no other record may pass this one
    try {
      await before;
      this.#check();
      if (this.#active !== null && fill(this.#active.segment, record)) return;
      if (!this.#placer.hasStuck) await this.#onePlaced();
      await this.#placer.retry((full) => this.#supply.stays(full));
      this.#check();
      let fresh = this.#advance(record.length);
      while (fresh === null && this.#placer.isPlacing) {
        await this.#onePlaced(); // which leaves room where other stores' staging took it
        fresh = this.#advance(record.length);
      }
      if (fresh === null) throw this.#placer.noSpace();
      fill(fresh, record);
    } finally {
      this.#waiting--;
      this.#reopen();
      done();
    }
  }

  async #onePlaced(): Promise<void> {
    await this.#placer.onePlaced();
    this.#check();
  }

  /** A new segment with room for such a record; null while the staging buffers are in use, or too many of others are. */
  #advance(recordBytes: number): Segment | null {
    const full = this.#active;
    if (full?.staged === true && !this.#supply.stays(full)) {
      if (this.#placer.isFull) return null;
      void this.#placer.begin(full);
    }
    if (full !== null) this.#supply.learn(full.segment);
    this.#active = null;
    this.#open = null; // nothing more goes into the full one, also if the next one cannot be had
    this.#active = this.#supply.next(recordBytes);
    this.#reopen();
    return this.#active?.segment ?? null;
  }

  #reopen(): Segment | null {
    const closed = this.#closing.signal.aborted || this.options.catalog.lost !== undefined;
    this.#open = this.#waiting > 0 || closed ? null : (this.#active?.segment ?? null);
    return this.#open;
  }

  #check(): void {
    const { name, catalog } = this.options;
    this.#closing.signal.throwIfAborted();
    const { lost } = catalog;
    if (lost?.lost) throw lostRecords(name, lost, lost.lost, "writing");
  }
}

function fill(segment: Segment, record: Uint8Array): boolean {
  return segment.append(record) || segment.appendOn(record);
}
