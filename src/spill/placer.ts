import { HedgerowError, messageOf } from "../errors.ts";
import type { SeldomWarner } from "../observe/seldom.ts";
import type { ScratchFiles } from "../runtime/scratch.ts";
import type { Budget } from "./budget.ts";
import type { Place } from "./catalog.ts";
import type { Elsewhere } from "./elsewhere.ts";
import { MAX_PLACING } from "./limits.ts";
import { toDisk } from "./local-disk.ts";
import { loadSealing, type Sealed, seal } from "./sealed.ts";
import type { Filling } from "./supply.ts";

export interface PlacerOptions {
  readonly name: string;
  readonly disk: Budget;
  /** null: no disk. */
  readonly files: ScratchFiles | null;
  /** null: no other nodes. */
  readonly elsewhere: Elsewhere | null;
  readonly warner: SeldomWarner;
  /** Aborts when the store is closed: nothing is placed any more. */
  readonly closing: AbortSignal;
  /** A staging buffer is free again. */
  readonly onPlaced: () => void;
}

/** A segment that found no place. */
interface Stuck {
  readonly full: Filling;
  readonly why: HedgerowError;
}

/** Finds full segments their place: on this node's disk, or else on another node. */
export class Placer {
  /** On their way out of their staging buffers. */
  readonly #placing = new Set<Promise<void>>();
  /** How many of them are on their way to another node. */
  #sending = 0;
  /** Those for which there was no place. */
  readonly #stuck: Stuck[] = [];

  constructor(private readonly options: PlacerOptions) {}

  /** Whether something is on its way to another node, which takes turns of the event loop. */
  get isSending(): boolean {
    return this.#sending > 0;
  }

  get isPlacing(): boolean {
    return this.#placing.size > 0;
  }

  get hasStuck(): boolean {
    return this.#stuck.length > 0;
  }

  /** Whether it takes no further one. */
  get isFull(): boolean {
    return this.#placing.size >= MAX_PLACING || this.hasStuck;
  }

  /** Resolves when it has found a place, or none. */
  begin(full: Filling): Promise<void> {
    const { segment } = full;
    segment.pin(); // not to be used again while it is written out
    const placing = this.#place(full)
      .then(
        () => {
          this.options.onPlaced();
          segment.unpin();
          segment.free();
        },
        (error: unknown) => {
          this.#stuck.push({ full, why: HedgerowError.from(error) });
          segment.unpin();
        },
      )
      .finally(() => this.#placing.delete(placing));
    this.#placing.add(placing);
    return placing;
  }

  /** Resolves when one of those under way has found a place, or none; at once if none is. */
  async onePlaced(): Promise<void> {
    if (this.isPlacing) await Promise.race(this.#placing);
  }

  /** Resolves when none is under way any more. */
  async allPlaced(): Promise<void> {
    await Promise.all(this.#placing);
  }

  /** Tries those again that found no place, until one finds none again; `stays` says which need none any more. */
  async retry(stays: (full: Filling) => boolean): Promise<void> {
    for (let tries = this.#stuck.length; tries > 0; tries--) {
      const { full } = this.#stuck.shift() as Stuck;
      if (!stays(full)) await this.begin(full);
      this.options.closing.throwIfAborted();
      if (this.#stuck.at(-1)?.full === full) return;
    }
  }

  /** Why there is no room for more records. */
  noSpace(): HedgerowError {
    const { name } = this.options;
    const why = this.#stuck[0]?.why;
    if (why !== undefined && why.code !== "no_space") return why;
    const reason = why?.message ?? "this node is full";
    const message = `spill store ${name}: no room for more records (${reason}): ${mendOf(why?.cause)}`;
    return new HedgerowError("no_space", message, { cause: why });
  }

  async #place({ segment, stored }: Filling): Promise<void> {
    // Nothing is waited for before the write begins: whoever appends on and on lets nothing else run meanwhile.
    const loading = loadSealing();
    if (loading !== null) await loading;
    const place = await this.#findPlace(seal(segment));
    if (this.options.closing.aborted) freePlace(place, this.options.disk);
    else stored.place = place;
  }

  async #findPlace(sealed: Sealed): Promise<Place> {
    const { files, disk, elsewhere, warner, name, closing } = this.options;
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
        closing.throwIfAborted();
        return await elsewhere.put(sealed, closing);
      } catch (error) {
        if (!HedgerowError.is(error, "no_space")) throw error;
        why = `${why}; ${error.message}`;
      } finally {
        this.#sending--;
      }
    }
    throw new HedgerowError("no_space", why, { cause });
  }
}

/** Of what the disk said, if it said anything: then there would be room within the limits. */
function mendOf(failure: unknown): string {
  if (failure === undefined) return "close stores, or raise the limits";
  const { code } = failure as { readonly code?: unknown };
  return code === "ENOSPC" || code === "EDQUOT"
    ? "free the disk that the spill folder is on, or close stores"
    : "see to the disk that the spill folder is on, or close stores";
}

/** Gives back what a segment takes on this node. */
export function freePlace(place: Place, disk: Budget): void {
  if (place.tier === "localMemory") place.segment.free();
  if (place.tier === "localDisk") {
    place.file.close();
    disk.give(place.layout.bytes);
  }
}
