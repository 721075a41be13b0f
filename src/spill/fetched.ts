import type { Operation } from "../runtime/operation.ts";
import type { Clock, Timer } from "../runtime/runtime.ts";
import { type Columns, copyOf } from "./batch.ts";
import type { StoredSegment } from "./catalog.ts";
import { FetchBuffer, type Loader } from "./loader.ts";

/** How long the last segment is kept after its last use, in milliseconds. */
const KEPT_MS = 1_000;
/** Segments that are fetched at once: records asked for at random take no more memory, others wait. */
const MAX_FETCHING = 4;

interface Fetch {
  readonly columns: Promise<Columns>;
  readonly buffer: FetchBuffer;
  /** Nobody waits for it any more. */
  readonly left: AbortController;
  /** Reads that have not copied their record. */
  waiting: number;
  whole: boolean;
}

/**
 * Segments of other nodes for reads of single records: those that are asked for at once share one fetch, and the last
 * one is kept for a while, since the next record is mostly another one of it.
 */
export class FetchedSegments {
  readonly #fetches = new Map<StoredSegment, Fetch>();
  #fetching = 0;
  /** Fetches that wait for their turn, each begun by what stands here. */
  readonly #queue = new Set<() => void>();
  #timer: Timer | null = null;

  constructor(
    private readonly clock: Clock,
    private readonly loader: Loader,
    /** Aborts when the store is closed. */
    private readonly closed: AbortSignal,
  ) {
    closed.addEventListener("abort", () => this.#drop(), { once: true });
  }

  /** A copy of the record of this index, of the segment that it is in. Throws what loading throws, and what the operation ends with. */
  async record(stored: StoredSegment, index: number, operation: Operation): Promise<Uint8Array> {
    const fetch = this.#fetches.get(stored) ?? this.#begin(stored);
    fetch.waiting++;
    try {
      return await operation.race(
        fetch.columns.then((columns) => copyOf(columns, index - stored.first)),
      );
    } finally {
      fetch.waiting--;
      if (fetch.whole) this.#keep();
      else if (fetch.waiting === 0) this.#forget(stored, fetch);
    }
  }

  #begin(stored: StoredSegment): Fetch {
    const left = new AbortController();
    const buffer = new FetchBuffer();
    const signal = AbortSignal.any([left.signal, this.closed]);
    const columns = this.#load(stored, buffer, signal);
    const fetch: Fetch = { columns, buffer, left, waiting: 0, whole: false };
    this.#fetches.set(stored, fetch);
    columns.then(
      () => {
        fetch.whole = true;
        this.#drop(fetch);
        this.#keep();
      },
      () => this.#forget(stored, fetch), // told to those who wait
    );
    return fetch;
  }

  async #load(stored: StoredSegment, buffer: FetchBuffer, signal: AbortSignal): Promise<Columns> {
    if (this.#fetching < MAX_FETCHING) this.#fetching++;
    else await this.#turn(signal);
    try {
      const { columns } = await this.loader.load(stored, buffer, signal);
      return columns;
    } finally {
      const [next] = this.#queue;
      if (next === undefined) this.#fetching--;
      else next();
    }
  }

  /** Until another fetch gives up its place. Throws what the signal aborts with. */
  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#queue.delete(begin);
        reject(signal.reason as Error);
      };
      const begin = () => {
        this.#queue.delete(begin);
        signal.removeEventListener("abort", leave);
        resolve();
      };
      this.#queue.add(begin);
      signal.addEventListener("abort", leave, { once: true });
    });
  }

  #keep(): void {
    this.#timer?.cancel();
    this.#timer = this.closed.aborted ? null : this.clock.schedule(KEPT_MS, () => this.#drop());
  }

  /** Those that are whole, but for this one. */
  #drop(but?: Fetch): void {
    this.#timer?.cancel();
    this.#timer = null;
    for (const [stored, fetch] of this.#fetches) {
      if (!fetch.whole || fetch === but) continue;
      this.#fetches.delete(stored);
      if (fetch.waiting === 0) fetch.buffer.discard();
    }
  }

  #forget(stored: StoredSegment, fetch: Fetch): void {
    fetch.left.abort();
    if (this.#fetches.get(stored) === fetch) this.#fetches.delete(stored);
  }
}
