import { HedgerowError } from "../errors.ts";
import type { SpillReader, SpillReadOptions } from "./api.ts";
import { Batch, type SpillBatch } from "./batch.ts";
import { type Catalog, isRemote, type StoredSegment } from "./catalog.ts";
import { FetchBuffer, type Loaded, type Loader, type Looking } from "./loader.ts";
import type { References } from "./references.ts";

export interface ReaderOptions extends SpillReadOptions {
  readonly catalog: Catalog;
  readonly loader: Loader;
  readonly references: References;
  /** Aborts when the store is closed. */
  readonly closed: AbortSignal;
  /** Throws once the store is closed. */
  readonly check: () => void;
}

export class Reader implements SpillReader {
  constructor(private readonly options: ReaderOptions) {}

  batches(): AsyncIterableIterator<SpillBatch> {
    return this.#begin(batchesOf);
  }

  /** Each segment, as the bytes of an Arrow file. */
  arrowFiles(): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    return this.#begin(arrowFilesOf);
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array> {
    return new Records(this.batches());
  }

  #begin<T>(iterate: (options: ReaderOptions, use: Use) => AsyncGenerator<T, void>): Iteration<T> {
    const { references, closed, check, signal } = this.options;
    check();
    const use = new Use(references, signal === undefined ? [closed] : [closed, signal]);
    const iteration = new Iteration(iterate(this.options, use), use);
    // Neither the store nor a timer refers to it: if it is dropped half-way its reference goes with it.
    references.releaseWith(iteration, () => use.end());
    return iteration;
  }
}

/** An iteration's reference, from its first step to its end, and what ends what is fetched for it. */
class Use {
  /** Aborts when the iteration is left, too. */
  readonly signal: AbortSignal;
  readonly #left = new AbortController();
  #release = () => {};
  #looking: Looking | null = null;

  constructor(
    private readonly references: References,
    signals: readonly AbortSignal[],
  ) {
    this.signal = AbortSignal.any([this.#left.signal, ...signals]);
  }

  /** Whether nobody wants another step. */
  get left(): boolean {
    return this.#left.signal.aborted;
  }

  begin(): void {
    this.#release = this.references.take();
  }

  leave(): void {
    this.#left.abort();
  }

  /** Until `lookAway`, or its end. */
  lookAt(looking: Looking): void {
    this.#looking = looking;
  }

  lookAway(): void {
    this.#looking?.release();
    this.#looking = null;
  }

  end(): void {
    this.leave();
    this.#looking?.leave();
    this.#looking = null;
    this.#release();
  }
}

/** A generator that is left at once: by itself it would first await the step that is under way. */
class Iteration<T> implements AsyncIterableIterator<T> {
  constructor(
    private readonly steps: AsyncGenerator<T, void>,
    private readonly use: Use,
  ) {}

  /** Refers to `this` behind the step: whoever waits for that, and has nothing else of the iteration, has not dropped it. */
  async next(): Promise<IteratorResult<T, void>> {
    const step = await this.steps.next();
    if (step.done === true) this.use.end();
    return step;
  }

  return(): Promise<IteratorResult<T, void>> {
    this.use.leave();
    return this.steps.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Loads the next segment while the one before is looked at, if it has to come from another node. */
async function* batchesOf(
  { catalog, loader, check, from = 0, signal }: ReaderOptions,
  use: Use,
): AsyncGenerator<SpillBatch, void> {
  check();
  use.begin();
  const to = catalog.count;
  const buffers = [new FetchBuffer(), new FetchBuffer()] as const;
  let prefetched: Promise<Loaded> | null = null;
  try {
    const start = from < to ? catalog.positionOf(from) : catalog.segments.length;
    for (let at = start; at < catalog.segments.length; at++) {
      const stored = catalog.segments[at] as StoredSegment;
      if (stored.first >= to) break;
      const loaded: Loaded = await (prefetched ??
        loader.load(stored, buffers[at % 2] as FetchBuffer, use.signal));
      use.lookAt(loaded);
      const next = catalog.segments[at + 1];
      prefetched =
        next !== undefined && next.first < to && isRemote(next.place)
          ? loader.load(next, buffers[(at + 1) % 2] as FetchBuffer, use.signal)
          : null;
      prefetched?.catch(() => {}); // thrown when it is its turn
      check();
      checkSignal(signal);
      const first = Math.max(from, stored.first);
      const end = Math.min(to, stored.end);
      if (first < end) yield Batch.of(loaded.columns, stored.first, first, end);
      use.lookAway();
      check();
      checkSignal(signal);
    }
    for (const buffer of buffers) buffer.discard(); // not where it was left: the last batch may be looked at still
  } catch (error) {
    check(); // what was freed cannot be had, and is not lost
    checkSignal(signal);
    if (!use.left) throw error;
  } finally {
    use.end();
  }
}

async function* arrowFilesOf(
  { catalog, loader, check, signal }: ReaderOptions,
  use: Use,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  check();
  use.begin();
  const to = catalog.count;
  const buffer = new FetchBuffer();
  try {
    for (let at = 0; at < catalog.segments.length; at++) {
      const stored = catalog.segments[at] as StoredSegment;
      if (stored.first >= to) break;
      const file = await loader.file(stored, buffer, use.signal);
      use.lookAt(file);
      check();
      checkSignal(signal);
      yield file.bytes;
      use.lookAway();
      check();
    }
    buffer.discard();
  } catch (error) {
    check();
    checkSignal(signal);
    if (!use.left) throw error;
  } finally {
    use.end();
  }
}

function checkSignal(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  const reason: unknown = signal.reason;
  if (reason instanceof HedgerowError) throw reason;
  throw new HedgerowError("canceled", "reading was cancelled by the caller", { cause: reason });
}

/** One record at a time: by hand, since a generator of generators takes several times as long. */
class Records implements AsyncIterableIterator<Uint8Array> {
  #batch: SpillBatch | null = null;
  #next = 0;
  /** Steps to the next batch, and what is asked for meanwhile: each waits for the one before. */
  #waiting = 0;
  #last: Promise<unknown> | null = null;

  constructor(private readonly batches: AsyncIterator<SpillBatch, void>) {}

  next(): Promise<IteratorResult<Uint8Array>> {
    const batch = this.#batch;
    if (this.#last === null && batch !== null && this.#next < batch.length) {
      return Promise.resolve({ done: false, value: batch.at(this.#next++) });
    }
    const step = this.#step(this.#last);
    this.#last = step;
    return step;
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#batch = null;
    await this.batches.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #step(before: Promise<unknown> | null): Promise<IteratorResult<Uint8Array>> {
    this.#waiting++;
    try {
      if (before !== null) await before.catch(() => {}); // told to who asked for it
      if (this.#batch === null || this.#next === this.#batch.length) {
        const { done, value } = await this.batches.next();
        this.#batch = done ? null : value;
        if (done) return { done: true, value: undefined };
        this.#next = 0;
        return { done: false, value: value.at(this.#next++) };
      }
      return { done: false, value: this.#batch.at(this.#next++) };
    } finally {
      if (--this.#waiting === 0) this.#last = null;
    }
  }
}
