import { HedgerowError } from "../errors.ts";
import type { SeldomWarner } from "../observe/seldom.ts";
import type { CallOptions, Clock } from "../runtime/runtime.ts";
import { Operation } from "../runtime/operation.ts";
import type { ScratchFiles } from "../runtime/scratch.ts";
import type { SpillReader, SpillReadOptions, SpillStats, SpillStore, SpillWriter } from "./api.ts";
import { Appender } from "./appender.ts";
import { copyOf } from "./batch.ts";
import { Budget } from "./budget.ts";
import type { Buffers } from "./buffers.ts";
import { Catalog, isRemote, type StoredSegment } from "./catalog.ts";
import type { Elsewhere } from "./elsewhere.ts";
import type { Ending } from "./ended.ts";
import { closedStore, expiredStore, stoppedNode } from "./errors.ts";
import { FetchedSegments } from "./fetched.ts";
import type { CompleteLimits } from "./limits.ts";
import { FetchBuffer, Loader } from "./loader.ts";
import type { Remote } from "./remote/remote.ts";
import { freePlace } from "./placer.ts";
import { Reader, type ReaderOptions } from "./reader.ts";
import { References } from "./references.ts";
import { Writer } from "./writer.ts";

export interface StoreOptions {
  readonly name: string;
  readonly limits: CompleteLimits;
  readonly clock: Clock;
  readonly warner: SeldomWarner;
  /** The node's budgets. */
  readonly memory: Budget;
  readonly disk: Budget;
  readonly buffers: Buffers;
  readonly files: ScratchFiles | null;
  /** null: no other nodes. */
  readonly remote: Remote | null;
  /** The name is free again. */
  readonly onEnded: (how: Ending) => void;
}

/** Time-out of `at` in milliseconds. */
const DEFAULT_AT_TIMEOUT_MS = 30_000;

export class Store implements SpillStore {
  readonly name: string;
  readonly limits: CompleteLimits;
  readonly catalog = new Catalog();
  readonly #memory: Budget;
  readonly #disk: Budget;
  readonly #references: References;
  readonly #elsewhere: Elsewhere | null;
  readonly #appender: Appender;
  readonly #loader: Loader;
  readonly #check = () => {
    this.#closed.signal.throwIfAborted();
  };
  /** Aborts when the store is closed: whatever is fetched for it, nobody needs any more. */
  readonly #closed = new AbortController();
  readonly #fetched: FetchedSegments;
  #closing: Promise<void> | null = null;

  constructor(private readonly options: StoreOptions) {
    const { name, limits, clock, remote, memory, disk } = options;
    this.name = name;
    this.limits = limits;
    this.#memory = new Budget(limits.memoryBytes, memory);
    this.#disk = new Budget(limits.diskBytes, disk);
    this.#references = new References(
      clock,
      limits.expiryMs,
      () => void this.#end(expiredStore(name, limits.expiryMs), "expired"),
    );
    this.#elsewhere = remote?.store(name, limits, this.catalog) ?? null;
    this.#loader = new Loader(name, this.#elsewhere);
    this.#fetched = new FetchedSegments(clock, this.#loader, this.#closed.signal);
    this.#appender = new Appender({
      ...options,
      memory: this.#memory,
      disk: this.#disk,
      catalog: this.catalog,
      elsewhere: this.#elsewhere,
    });
  }

  get count(): number {
    return this.catalog.count;
  }

  get maxRecordBytes(): number {
    return this.limits.segmentBytes;
  }

  writer(): SpillWriter {
    this.#check();
    const release = this.#references.take();
    const writer = new Writer(this.name, this.#appender, release);
    this.#references.releaseWith(writer, release);
    return writer;
  }

  reader(options: SpillReadOptions = {}): SpillReader {
    this.#check();
    const { from = 0 } = options;
    if (!(Number.isSafeInteger(from) && from >= 0)) {
      throw new HedgerowError("invalid_argument", `from ${from}: give the index of a record`);
    }
    return new Reader(this.#readerOptions(options));
  }

  async at(index: number, options: CallOptions = {}): Promise<Uint8Array> {
    this.#check();
    const { catalog, name } = this;
    if (!(Number.isSafeInteger(index) && index >= 0 && index < catalog.count)) {
      const message = `spill store ${name}: no record ${index}, there are ${catalog.count}`;
      throw new HedgerowError("invalid_argument", message);
    }
    const release = this.#references.take();
    const { clock } = this.options;
    using operation = new Operation(clock, "spill at", options, DEFAULT_AT_TIMEOUT_MS);
    try {
      operation.check();
      const stored = catalog.segments[catalog.positionOf(index)] as StoredSegment;
      if (isRemote(stored.place)) {
        const fetched = await this.#fetched.record(stored, index, operation);
        this.#check();
        return fetched;
      }
      const loaded = await this.#loader.load(stored, new FetchBuffer());
      try {
        this.#check();
        return copyOf(loaded.columns, index - stored.first);
      } finally {
        loaded.release();
      }
    } catch (error) {
      this.#check(); // what was freed cannot be had, and is not lost
      throw error;
    } finally {
      release();
    }
  }

  arrowFiles(
    options: Pick<SpillReadOptions, "signal"> = {},
  ): AsyncIterableIterator<Uint8Array<ArrayBuffer>> {
    const reader = new Reader(this.#readerOptions(options));
    return reader.arrowFiles();
  }

  stats(): SpillStats {
    const [memoryUsed, diskUsed] = [this.#memory.used, this.#disk.used];
    const { memoryBytes, diskBytes, expiryMs } = this.limits;
    const limits = { memoryBytes, diskBytes, expiryMs };
    const { count: references } = this.#references;
    return { ...this.catalog.stats(), memoryUsed, diskUsed, limits, references };
  }

  close(): Promise<void> {
    return this.#end(closedStore(this.name));
  }

  /** As `close`, but what uses it still ends with `stopped`. */
  stop(): Promise<void> {
    return this.#end(stoppedNode());
  }

  #end(why: HedgerowError, how: Ending = "closed"): Promise<void> {
    this.#closing ??= this.#close(why, how);
    return this.#closing;
  }

  #readerOptions(options: SpillReadOptions): ReaderOptions {
    const { catalog } = this;
    const [loader, references, check] = [this.#loader, this.#references, this.#check];
    return { ...options, catalog, loader, references, check, closed: this.#closed.signal };
  }

  async #close(why: HedgerowError, how: Ending): Promise<void> {
    this.#references.end();
    this.#closed.abort(why);
    const placed = this.#appender.close(why);
    for (const { place } of this.catalog.segments) freePlace(place, this.#disk);
    this.catalog.segments.length = 0;
    this.#elsewhere?.free();
    this.options.onEnded(how);
    await placed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
