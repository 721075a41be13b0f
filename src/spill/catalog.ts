import type { ScratchFile } from "../runtime/scratch.ts";
import type { SpillStats, Tier, TierStats } from "./api.ts";
import type { Packed } from "./remote/packing.ts";
import type { Layout } from "./sealed.ts";
import type { Segment } from "./segment.ts";

/** Where a segment is. */
export type Place =
  | { readonly tier: "localMemory"; readonly segment: Segment }
  | { readonly tier: "localDisk"; readonly file: ScratchFile; readonly layout: Layout }
  | RemotePlace;

export interface RemotePlace {
  readonly tier: "remoteMemory" | "remoteDisk";
  /** Address of the node that keeps it. */
  readonly holder: string;
  /** Names it there, among the segments of this store. */
  readonly id: number;
  readonly layout: Layout;
  /** How it lies there, where it is compressed. */
  readonly packed?: Packed;
}

export function isRemote(place: Place): place is RemotePlace {
  return place.tier === "remoteMemory" || place.tier === "remoteDisk";
}

/** What fetching takes: the segment's bytes, and behind them those that it is unpacked from. */
export function fetchBytes({ layout, packed }: RemotePlace): number {
  return layout.bytes + (packed?.bytes ?? 0);
}

/** What is known of a segment that cannot be had. */
export interface Loss {
  /** It is gone; or its node does not answer, and may later. */
  readonly code: "data_lost" | "out_of_reach";
  readonly why: string;
}

/** A segment among others, wherever it is. */
export class StoredSegment {
  /** What the catalog was told of it. */
  lost: Loss | null = null;

  constructor(
    /** Index of its first record. */
    readonly first: number,
    public place: Place,
  ) {}

  get count(): number {
    const { place } = this;
    return place.tier === "localMemory" ? place.segment.count : place.layout.count;
  }

  get valueBytes(): number {
    const { place } = this;
    return place.tier === "localMemory" ? place.segment.end : place.layout.valueBytes;
  }

  /** Index behind its last record. */
  get end(): number {
    return this.first + this.count;
  }
}

/** The segments of a store, in the order of their records. */
export class Catalog {
  readonly segments: StoredSegment[] = [];
  /** Called when some of them are lost. */
  onLost: () => void = () => {};
  /** Those that cannot be had, in no order. */
  readonly #lost = new Set<StoredSegment>();

  get count(): number {
    return this.segments.at(-1)?.end ?? 0;
  }

  add(place: Place): StoredSegment {
    const stored = new StoredSegment(this.count, place);
    this.segments.push(stored);
    return stored;
  }

  /** Position of the segment that holds record `index`, which there must be. */
  positionOf(index: number): number {
    let low = 0;
    let high = this.segments.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.segments[middle] as StoredSegment).first <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** A segment that is gone, or else one that cannot be had now, the first of its kind; if there is any. */
  get lost(): StoredSegment | undefined {
    if (this.#lost.size === 0) return undefined; // as nearly always, and asked all the time
    const lost = [...this.#lost].sort((one, other) => one.first - other.first);
    return lost.find((stored) => stored.lost?.code === "data_lost") ?? lost[0];
  }

  lose(segments: readonly StoredSegment[], loss: Loss): void {
    for (const stored of segments) {
      stored.lost = loss;
      this.#lost.add(stored);
    }
    if (segments.length > 0) this.onLost();
  }

  regain(segments: readonly StoredSegment[]): void {
    for (const stored of segments) {
      stored.lost = null;
      this.#lost.delete(stored);
    }
  }

  stats(): Pick<SpillStats, "records" | "bytes" | "tiers" | "lost" | "outOfReach"> {
    const tiers = {
      localMemory: none(),
      localDisk: none(),
      remoteMemory: none(),
      remoteDisk: none(),
    };
    let bytes = 0;
    const missing = { data_lost: 0, out_of_reach: 0 };
    for (const stored of this.segments) {
      const tier: Writable<TierStats> = tiers[stored.place.tier as Tier];
      tier.segments++;
      tier.records += stored.count;
      tier.bytes += stored.valueBytes;
      bytes += stored.valueBytes;
      if (stored.lost !== null) missing[stored.lost.code] += stored.count;
    }
    const { data_lost: lost, out_of_reach: outOfReach } = missing;
    return { records: this.count, bytes, tiers, lost, outOfReach };
  }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function none(): Writable<TierStats> {
  return { segments: 0, records: 0, bytes: 0 };
}
