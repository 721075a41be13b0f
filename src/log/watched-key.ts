import { HedgerowError } from "../errors.ts";
import { type Operation, sleep } from "../runtime/operation.ts";
import { backoffMs, type Runtime, type Timer } from "../runtime/runtime.ts";
import type { LogCursor, LogStore, StoredEntry } from "../store/ports.ts";

/** Versions of one read: as many of the largest values are 64 MiB. */
export const PAGE_ENTRIES = 32;
/** Of one read, in milliseconds. */
const READ_TIMEOUT_MS = 5_000;
/** Between reads while the store does not answer. */
const PAUSE_MS = { first: 100, longest: 5_000 };

export interface KeyReads {
  readonly store: LogStore;
  readonly runtime: Runtime;
  /** It is read this often without a sign, in milliseconds: what was written past the leader is found so. */
  readonly pollMs: number;
}

/** Versions that followed a place, and how many signs there had been when they were read. */
export interface Page {
  readonly entries: readonly StoredEntry[];
  readonly signs: number;
  /** When the read began, on the node's own clock. */
  readonly readAt: number;
}

interface Read {
  readonly after: LogCursor | null;
  readonly page: Promise<Page>;
}

/** What the watchers of one key on this node share: the signs that it was written, and reads from one place. */
export class WatchedKey {
  #signs = 0;
  #read: Read | null = null;
  #poll: Timer | null = null;
  readonly #waiting: (() => void)[] = [];
  watchers = 0;

  constructor(
    private readonly key: string,
    private readonly reads: KeyReads,
  ) {}

  /** The key was written, or may have been. */
  readonly sign = (): void => {
    this.#signs++;
    for (const go of this.#waiting.splice(0)) go();
  };

  /** The versions after a place. Reads again while the store does not answer; throws its other errors. */
  async page(after: LogCursor | null, operation: Operation): Promise<Page> {
    const { clock, random } = this.reads.runtime;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#shared(after);
      } catch (error) {
        if (!HedgerowError.is(error, "unavailable", "timeout", "overloaded")) throw error;
        const pauseMs = backoffMs(random, attempt, PAUSE_MS.first, PAUSE_MS.longest);
        await sleep(clock, pauseMs, operation.signal);
      }
    }
  }

  /** Resolves once there was a sign since those `signs`, `pollMs` later at the latest. */
  signAfter(signs: number): Promise<void> {
    if (this.#signs > signs) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Reads now and then from here on, until `stop`. */
  start(): void {
    const { runtime, pollMs } = this.reads;
    // Not all keys at once.
    this.#poll = runtime.clock.schedule(pollMs * (1 - runtime.random.next() / 4), () => {
      this.sign();
      this.start();
    });
  }

  stop(): void {
    this.#poll?.cancel();
  }

  /** One read for all who ask from the same place. Its page tells whether a sign came after it began. */
  #shared(after: LogCursor | null): Promise<Page> {
    if (this.#read !== null && isSame(this.#read.after, after)) return this.#read.page;
    const begun = { after, page: this.#readAfter(after) };
    this.#read = begun;
    const end = () => {
      if (this.#read === begun) this.#read = null;
    };
    begun.page.then(end, end);
    return begun.page;
  }

  async #readAfter(after: LogCursor | null): Promise<Page> {
    const { store, runtime } = this.reads;
    const signs = this.#signs;
    const readAt = runtime.clock.now();
    const limits = { timeoutMs: READ_TIMEOUT_MS };
    const entries = await store.readAfter(this.key, after, PAGE_ENTRIES, limits);
    return { entries, signs, readAt };
  }
}

function isSame(a: LogCursor | null, b: LogCursor | null): boolean {
  return a?.timestamp === b?.timestamp && a?.id === b?.id;
}
