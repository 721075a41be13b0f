import { HedgerowError } from "../errors.ts";
import type { SpillReader, SpillReadOptions } from "./api.ts";
import { Batch, type SpillBatch } from "./batch.ts";
import { type Catalog, isRemote, type StoredSegment } from "./catalog.ts";
import { Iteration, Use } from "./iteration.ts";
import { FetchBuffer, type Loaded, type Loader } from "./loader.ts";
import { Records } from "./records.ts";
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
