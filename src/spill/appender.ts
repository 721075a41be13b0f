import { HedgerowError, messageOf } from "../errors.ts";
import type { SeldomWarner } from "../observe/seldom.ts";
import { sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { ScratchFiles } from "../runtime/scratch.ts";
import type { Budget } from "./budget.ts";
import type { Buffers } from "./buffers.ts";
import type { Catalog, Place, StoredSegment } from "./catalog.ts";
import type { Elsewhere } from "./elsewhere.ts";
import {
  type CompleteLimits,
  MAX_OVERDRAFT_BYTES,
  MAX_PLACING,
  STAGING_SEGMENTS,
} from "./limits.ts";
import { lostRecords } from "./errors.ts";
import { toDisk } from "./local-disk.ts";
import { loadSealing, type Sealed, seal } from "./sealed.ts";
import { Segment, segmentBytes } from "./segment.ts";

export interface AppenderOptions {
  readonly name: string;
  readonly limits: CompleteLimits;
  readonly clock: Clock;
  readonly memory: Budget;
  readonly disk: Budget;
  readonly buffers: Buffers;
  readonly catalog: Catalog;
  /** null: no disk. */
  readonly files: ScratchFiles | null;
  /** null: no other nodes. */
  readonly elsewhere: Elsewhere | null;
  readonly warner: SeldomWarner;
}

/** The last segment, which is being filled. */
interface Active {
  readonly stored: StoredSegment;
  readonly segment: Segment;
  /** It does not stay in memory. */
  readonly staged: boolean;
}

/** A segment that found no place. */
interface Stuck {
  readonly segment: Active;
  readonly why: HedgerowError;
}

/** Slots for offsets beyond what the segment before needed. */
const SLOT_MARGIN = 1.05;
/** Of the memory limit, what staging may keep for itself. */
const STAGING_SHARE = 1 / 2;
/** Smaller segments than these shares of the size and of the memory limit are not made of what is left of it. */
const LEAST_SHARE = 1 / 4;
const LEAST_LIMIT_SHARE = 1 / 16;
/** So that what is rounded up fits into what is left. */
const ROUNDING = 0.95;

/** Fills one segment after the other and finds a place for each. */
export class Appender {
  #active: Active | null = null;
  /** The active one, as long as a record may go the short way. */
  #open: Segment | null = null;
  /** Segments before, on their way out of their staging buffers. */
  readonly #placing = new Set<Promise<void>>();
  /** How many of them are on their way to another node. */
  #sending = 0;
  /** Segments before, for which there was no place. */
  readonly #stuck: Stuck[] = [];
  #staged = 0;
  #expected = 0;
  /** Appends that wait, one of each writer at the most, and the end of the last one. */
  #waiting = 0;
  #turn: Promise<void> | null = null;
  readonly #closing = new AbortController();

  constructor(private readonly options: AppenderOptions) {
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
    await Promise.all(this.#placing);
  }

  #appendSlowly(record: Uint8Array): Promise<void> | undefined {
    this.#check();
    if (this.#open === null && this.#reopen()?.append(record) === true) return undefined;
    if (this.#waiting === 0 && this.#active?.segment.appendOn(record) === true) {
      // What is sent needs the event loop, which whoever appends on and on would keep from its turns.
      return this.#sending > 0 ? sleep(this.options.clock, 0) : undefined;
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
      if (this.#stuck.length === 0) await this.#onePlaced();
      await this.#placeStuck();
      let fresh = this.#advance(record.length);
      while (fresh === null && this.#placing.size > 0) {
        await this.#onePlaced(); // which leaves room where other stores' staging took it
        fresh = this.#advance(record.length);
      }
      if (fresh === null) throw this.#noSpace();
      fill(fresh, record);
    } finally {
      this.#waiting--;
      this.#reopen();
      done();
    }
  }

  async #onePlaced(): Promise<void> {
    if (this.#placing.size > 0) await Promise.race(this.#placing);
    this.#check();
  }

  /** Until there is no place for one of them again. */
  async #placeStuck(): Promise<void> {
    for (let tries = this.#stuck.length; tries > 0; tries--) {
      const { segment } = this.#stuck.shift() as Stuck;
      if (!this.#stays(segment)) await this.#begin(segment);
      this.#check();
      if (this.#stuck.at(-1)?.segment === segment) return;
    }
  }

  /** A new segment with room for such a record; null while the staging buffers are in use, or too many of others are. */
  #advance(recordBytes: number): Segment | null {
    const full = this.#active;
    if (full?.staged === true && !this.#stays(full)) {
      if (this.#placing.size >= MAX_PLACING || this.#stuck.length > 0) return null;
      void this.#begin(full);
    }
    if (full !== null) this.#expected = Math.ceil(full.segment.count * SLOT_MARGIN);
    this.#active = null;
    this.#open = null; // nothing more goes into the full one, also if the next one cannot be had
    this.#active = this.#inMemory(recordBytes) ?? this.#inStaging();
    this.#reopen();
    return this.#active?.segment ?? null;
  }

  #reopen(): Segment | null {
    const closed = this.#closing.signal.aborted || this.options.catalog.lost !== undefined;
    this.#open = this.#waiting > 0 || closed ? null : (this.#active?.segment ?? null);
    return this.#open;
  }

  /** Whether memory has room again: then a staging buffer is a segment like others, and another one is staging. */
  #stays({ segment }: Active): boolean {
    const { memory } = this.options;
    const spare = this.#spare(this.#staged - 1, segment.allocated);
    if (memory.exceeded || memory.free < spare) return false;
    this.#staged--;
    return true;
  }

  /** What segments in memory leave to those of so many staging buffers that are not there yet. */
  #spare(staged: number, segment: number): number {
    const share = this.options.memory.most * STAGING_SHARE;
    return Math.min((STAGING_SEGMENTS - staged) * segment, share);
  }

  #inMemory(recordBytes: number): Active | null {
    const { limits, memory } = this.options;
    const { segmentBytes: size } = limits;
    const whole = segmentBytes(size, this.#expected);
    const spare = this.#spare(this.#staged, whole);
    if (memory.tryTake(whole, spare)) return this.#make(size, this.#expected, false);
    const share = ((memory.free - spare) / whole) * ROUNDING;
    const smaller = Math.floor((size * share) / 8) * 8;
    const expected = Math.ceil(this.#expected * share);
    const least = Math.min(size * LEAST_SHARE, memory.most * LEAST_LIMIT_SHARE);
    if (smaller < Math.max(recordBytes, least)) return null;
    if (!memory.tryTake(segmentBytes(smaller, expected), spare)) return null;
    return this.#make(smaller, expected, false);
  }

  #inStaging(): Active | null {
    const { limits, memory } = this.options;
    if (memory.overdraft >= MAX_OVERDRAFT_BYTES) return null;
    memory.take(segmentBytes(limits.segmentBytes, this.#expected));
    const made = this.#make(limits.segmentBytes, this.#expected, true); // may throw
    this.#staged++;
    return made;
  }

  #make(size: number, expected: number, staged: boolean): Active {
    const { buffers, memory, catalog } = this.options;
    const segment = new Segment({ size, expected, buffers, memory, staged });
    return { segment, staged, stored: catalog.add({ tier: "localMemory", segment }) };
  }

  #begin(full: Active): Promise<void> {
    const { segment } = full;
    segment.pin(); // not to be used again while it is written out
    const placing = this.#place(full)
      .then(
        () => {
          this.#staged--;
          segment.unpin();
          segment.free();
        },
        (error: unknown) => {
          this.#stuck.push({ segment: full, why: HedgerowError.from(error) });
          segment.unpin();
        },
      )
      .finally(() => this.#placing.delete(placing));
    this.#placing.add(placing);
    return placing;
  }

  async #place({ segment, stored }: Active): Promise<void> {
    // Nothing is waited for before the write begins: whoever appends on and on lets nothing else run meanwhile.
    const loading = loadSealing();
    if (loading !== null) await loading;
    const place = await this.#findPlace(seal(segment));
    if (this.#closing.signal.aborted) freePlace(place, this.options.disk);
    else stored.place = place;
  }

  async #findPlace(sealed: Sealed): Promise<Place> {
    const { files, disk, elsewhere, warner, name } = this.options;
    const { signal } = this.#closing;
    let why = disk.binds ? "its limits allow no more on this node" : "this node is full";
    let cause: unknown;
    if (files !== null) {
      try {
        const place = await toDisk(sealed, files, disk);
        if (place !== null) return place;
      } catch (error) {
        cause = error;
        why = messageOf(error);
        warner.warn("disk", "spill to disk failed", { store: name, error: why });
      }
    }
    if (elsewhere !== null) {
      this.#sending++;
      try {
        signal.throwIfAborted();
        return await elsewhere.put(sealed, signal);
      } catch (error) {
        if (!HedgerowError.is(error, "no_space")) throw error;
        why = `${why}; ${error.message}`;
      } finally {
        this.#sending--;
      }
    }
    throw new HedgerowError("no_space", why, { cause });
  }

  #noSpace(): HedgerowError {
    const { name } = this.options;
    const why = this.#stuck[0]?.why;
    if (why !== undefined && why.code !== "no_space") return why;
    return new HedgerowError(
      "no_space",
      `spill store ${name}: no room for more records (${why?.message ?? "this node is full"}): close stores, or raise the limits`,
      { cause: why },
    );
  }

  #check(): void {
    const { name, catalog } = this.options;
    this.#closing.signal.throwIfAborted();
    const { lost } = catalog;
    if (lost?.lost) throw lostRecords(name, lost, lost.lost);
  }
}

function fill(segment: Segment, record: Uint8Array): boolean {
  return segment.append(record) || segment.appendOn(record);
}

/** Gives back what a segment takes on this node. */
export function freePlace(place: Place, disk: Budget): void {
  if (place.tier === "localMemory") place.segment.free();
  if (place.tier === "localDisk") {
    place.file.close();
    disk.give(place.layout.bytes);
  }
}
