import type { Logger } from "../../observe/logger.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { type Catalog, isRemote, type Loss, type StoredSegment } from "../catalog.ts";
import type { RemoteTier } from "./rooms.ts";
import { silentAt } from "./silences.ts";

export interface HoldersOptions {
  /** Of the store. */
  readonly name: string;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long segments stay where they are without a renewal. */
  readonly expiryMs: number;
  /** Something is kept elsewhere from now on. */
  readonly onFirst: () => void;
  readonly onRenewed: (holder: string) => void;
}

/** What the store has on one node. */
interface Placed {
  /** Which start of a process keeps it; null as long as that is not known. */
  start: bigint | null;
  memory: number;
  disk: number;
  /** When the renewal that was last answered was sent. */
  renewedAt: number;
  /** What counts as lost until the holder answers again. */
  doubted: readonly StoredSegment[];
}

const STARTED_ANEW = "its node was started anew";

/** The nodes that keep segments of one store: how much each has, as which start of its process, until when. */
export class Holders {
  readonly #placed = new Map<string, Placed>();

  constructor(private readonly options: HoldersOptions) {}

  addresses(): IterableIterator<string> {
    return this.#placed.keys();
  }

  has(holder: string): boolean {
    return this.#placed.has(holder);
  }

  /** Bytes that the store has there. */
  bytesAt(holder: string, tier: RemoteTier): number {
    return this.#placed.get(holder)?.[tier] ?? 0;
  }

  /** A segment is kept there; `start`: by the node's own word. */
  add(holder: string, tier: RemoteTier, bytes: number, sentAt: number, start: bigint | null): void {
    if (start !== null) this.is(holder, start);
    let placed = this.#placed.get(holder);
    if (placed === undefined) {
      placed = { start, memory: 0, disk: 0, renewedAt: sentAt, doubted: [] };
      this.#placed.set(holder, placed);
      if (this.#placed.size === 1) this.options.onFirst();
    }
    placed[tier] += bytes;
    placed.renewedAt = Math.max(placed.renewedAt, sentAt);
  }

  /** Which start of a process is there, as far as can be told. */
  is(holder: string, start: bigint): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined) return;
    placed.start ??= start; // should that be another one, its next renewal tells
    if (placed.start !== start) this.lost(holder, STARTED_ANEW);
  }

  /**
   * Nobody answers there, or no process listens: what it has counts as out of reach, or as lost, unless the lease is renewed
   * in time.
   */
  silent(holder: string, askedAt: number, nobodyListens: boolean): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined || placed.renewedAt > askedAt) return;
    if (nobodyListens) this.options.catalog.regain(placed.doubted); // for another reason, now
    const marked = nobodyListens
      ? this.#markLost(holder, goneFrom(holder, "no process listens there"))
      : this.#markLost(holder, { code: "out_of_reach", why: silentAt(holder) });
    placed.doubted = nobodyListens ? marked : [...placed.doubted, ...marked];
  }

  renewed(holder: string, sentAt: number): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined) return;
    placed.renewedAt = Math.max(placed.renewedAt, sentAt);
    this.options.onRenewed(holder);
    this.options.catalog.regain(placed.doubted);
    placed.doubted = [];
  }

  /** The holder has freed them by now, if it lives, once the lease that it was last told of is over. */
  notRenewed(holder: string): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined) return;
    const { clock, expiryMs } = this.options;
    const ageMs = clock.now() - placed.renewedAt;
    if (ageMs > expiryMs) this.lost(holder, `not reached for ${Math.round(ageMs)} ms`);
  }

  /** What was put there before `until` is lost, as far as can be told: the next append says so. */
  lost(holder: string, why: string, until = Number.POSITIVE_INFINITY): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined || placed.renewedAt > until) return;
    this.#placed.delete(holder);
    this.options.catalog.regain(placed.doubted); // for another reason, now
    this.#markLost(holder, goneFrom(holder, why));
  }

  /** Those that were not lost already. */
  #markLost(holder: string, loss: Loss): StoredSegment[] {
    const { catalog, logger, name } = this.options;
    const marked = catalog.segments.filter(
      ({ place, lost }) => isRemote(place) && place.holder === holder && lost === null,
    );
    catalog.lose(marked, loss);
    const { code, why } = loss;
    const what = code === "data_lost" ? "spilled records lost" : "spilled records out of reach";
    logger.warn(what, { store: name, holder, segments: marked.length, why });
    return marked;
  }
}

/** That what a node kept is gone. */
export function goneFrom(holder: string, why: string): Loss {
  return { code: "data_lost", why: `they were kept by ${holder}: ${why}` };
}
