import { HedgerowError, messageOf } from "../../errors.ts";
import type { Logger } from "../../observe/logger.ts";
import type { Peers, Replies } from "../../rpc/port.ts";
import { Operation, sleep } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { type Catalog, isRemote, type RemotePlace, type StoredSegment } from "../catalog.ts";
import { discardPart } from "../discard.ts";
import type { Elsewhere } from "../elsewhere.ts";
import type { CompleteLimits } from "../limits.ts";
import type { Sealed } from "../sealed.ts";
import type { RemoteTier, Room, Rooms } from "./rooms.ts";
import { chunksOf, FETCH, KEEP } from "./wire.ts";

export interface RemoteStoreOptions {
  readonly name: string;
  readonly limits: CompleteLimits;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly rooms: Rooms;
  readonly owner: OwnerId;
  /** Addresses of the other nodes. */
  readonly others: () => string[];
  /** Something is kept elsewhere from now on. */
  readonly onFirst: () => void;
  readonly onFreed: () => void;
}

export interface OwnerId {
  readonly address: string;
  readonly incarnation: bigint;
  readonly store: bigint;
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

/** A segment on its way to one node. */
interface Sending {
  readonly holder: string;
  readonly tier: RemoteTier;
  readonly bytes: number;
}

/** Milliseconds that one segment may be under way. */
const TRANSFER_MS = 60_000;
/** Until a holder takes the stream, as a member and otherwise. */
const OPEN_MS = 4_000;
const OPEN_GONE_MS = 1_000;
const FETCH_ATTEMPTS = 3;
const PUT_ATTEMPTS = 2;
const RETRY_MS = 200;
const UNREACHED_MS = 5_000;

const STARTED_ANEW = "its node was started anew";

/** The memory and disks of other nodes, for one store. */
export class RemoteStore implements Elsewhere {
  readonly owner: OwnerId;
  readonly expiryMs: number;
  readonly #placed = new Map<string, Placed>();
  /** Holders of which the last attempt was in vain, and until when that says something. */
  readonly #unreached = new Map<
    string,
    { readonly until: number; readonly error: HedgerowError }
  >();
  readonly #sending = new Set<Sending>();
  #made = 0;
  #freed = false;

  constructor(private readonly options: RemoteStoreOptions) {
    this.owner = options.owner;
    this.expiryMs = options.limits.expiryMs;
  }

  holders(): IterableIterator<string> {
    return this.#placed.keys();
  }

  async put(sealed: Sealed, signal: AbortSignal, onFailed?: () => void): Promise<RemotePlace> {
    const { rooms } = this.options;
    for (let attempt = 1; ; attempt++) {
      const tried = await this.#tryAll(sealed, signal, onFailed);
      if ("place" in tried) return tried.place;
      if (tried.broken.length === 0 || attempt === PUT_ATTEMPTS) {
        throw new HedgerowError("no_space", tried.why);
      }
      // Their connections may have broken, and they may have room as before.
      for (const holder of tried.broken) rooms.forget(holder);
    }
  }

  /** `broken`: holders that failed, and did not say that they have no room. */
  async #tryAll(
    sealed: Sealed,
    signal: AbortSignal,
    onFailed?: () => void,
  ): Promise<{ place: RemotePlace } | { why: string; broken: readonly string[] }> {
    const { clock, rooms } = this.options;
    const { bytes } = sealed.layout;
    using asking = new Operation(clock, "spill", { signal }, Number.POSITIVE_INFINITY);
    let why = "no other node has room";
    const broken: string[] = [];
    for (const tier of ["memory", "disk"] as const) {
      for (const room of await asking.race(rooms.with(bytes, tier))) {
        signal.throwIfAborted();
        const sending = { holder: room.address, tier, bytes };
        if (!this.#allows(sending)) {
          why = "its limits allow no more on other nodes";
          continue;
        }
        this.#sending.add(sending);
        room[tier] -= bytes;
        try {
          return { place: await this.#send(sealed, room, tier, signal) };
        } catch (error) {
          if (signal.aborted) throw error;
          if (!HedgerowError.is(error, "no_space")) broken.push(room.address);
          onFailed?.();
          why = `${room.address}: ${messageOf(error)}`;
          room[tier] = 0; // until it is asked again
        } finally {
          this.#sending.delete(sending);
        }
      }
    }
    return { why, broken };
  }

  /** Who has left the members and was not reached just now is not waited for again, segment by segment. */
  async fetch(
    place: RemotePlace,
    into: Uint8Array,
    signal?: AbortSignal,
    onBytes?: (end: number) => void,
  ): Promise<void> {
    const { clock, others } = this.options;
    const { holder } = place;
    for (let attempt = 1; ; attempt++) {
      const unreached = this.#unreached.get(holder);
      const member = others().includes(holder);
      if (unreached !== undefined && !member && clock.now() < unreached.until)
        throw unreached.error;
      try {
        await this.#receive(place, into, member ? OPEN_MS : OPEN_GONE_MS, signal, onBytes);
        this.#unreached.delete(holder);
        return;
      } catch (error) {
        if (signal?.aborted) throw error;
        const why = new HedgerowError("data_lost", `${holder}: ${messageOf(error)}`, {
          cause: error,
        });
        if (HedgerowError.is(error, "not_found")) throw why;
        this.#unreached.set(holder, { until: clock.now() + UNREACHED_MS, error: why });
        if (!others().includes(holder) || attempt === FETCH_ATTEMPTS) throw why;
        await sleep(clock, RETRY_MS * attempt, signal);
      }
    }
  }

  free(): void {
    this.#freed = true;
    this.options.onFreed(); // also where all holders were lost: nothing is to be renewed any more
  }

  hasAt(holder: string): boolean {
    return this.#placed.has(holder);
  }

  /** Which start of a process is there, as far as can be told. */
  holderIs(holder: string, start: bigint): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined) return;
    placed.start ??= start; // should that be another one, its next renewal tells
    if (placed.start !== start) this.holderLost(holder, STARTED_ANEW);
  }

  /** Nobody answers there: what it has counts as lost unless the lease is renewed in time. */
  holderSilent(holder: string, askedAt: number): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined || placed.renewedAt > askedAt) return;
    const marked = this.#markLost(holder, "its node does not answer");
    placed.doubted = [...placed.doubted, ...marked];
  }

  renewed(holder: string, sentAt: number): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined) return;
    placed.renewedAt = Math.max(placed.renewedAt, sentAt);
    for (const stored of placed.doubted) stored.lost = null;
    placed.doubted = [];
  }

  /** The holder has freed them by now, if it lives, once the lease that it was last told of is over. */
  notRenewed(holder: string): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined) return;
    const ageMs = this.options.clock.now() - placed.renewedAt;
    if (ageMs > this.expiryMs) this.holderLost(holder, `not reached for ${Math.round(ageMs)} ms`);
  }

  /** What was put there before `until` is lost, as far as can be told: the next append says so. */
  holderLost(holder: string, why: string, until = Number.POSITIVE_INFINITY): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined || placed.renewedAt > until) return;
    this.#placed.delete(holder);
    for (const stored of placed.doubted) stored.lost = null; // for another reason, now
    this.#markLost(holder, why);
  }

  /** Those that were not lost already. */
  #markLost(holder: string, why: string): StoredSegment[] {
    const { catalog, logger, name } = this.options;
    const marked = catalog.segments.filter(
      ({ place, lost }) => isRemote(place) && place.holder === holder && lost === null,
    );
    for (const stored of marked) stored.lost = `they were kept by ${holder}: ${why}`;
    if (marked.length > 0) catalog.onLost();
    logger.warn("spilled records lost", { store: name, holder, segments: marked.length, why });
    return marked;
  }

  /** Limits hold on each node. */
  #allows({ holder, tier, bytes }: Sending): boolean {
    const { memoryBytes, diskBytes } = this.options.limits;
    const limit = tier === "memory" ? memoryBytes : diskBytes;
    let taken = this.#placed.get(holder)?.[tier] ?? 0;
    for (const other of this.#sending) {
      if (other.holder === holder && other.tier === tier) taken += other.bytes;
    }
    return taken + bytes <= limit;
  }

  async #send(
    { pieces, layout }: Sealed,
    room: Room,
    tier: RemoteTier,
    signal: AbortSignal,
  ): Promise<RemotePlace> {
    const { peers, clock } = this.options;
    const { bytes } = layout;
    const segment = this.#made++;
    const sentAt = clock.now();
    using operation = new Operation(clock, "spill", { signal }, TRANSFER_MS);
    const opening = {
      owner: this.owner,
      segment,
      bytes: BigInt(bytes),
      inMemory: tier === "memory",
      expiryMs: this.expiryMs,
    };
    const { address } = room;
    const replies = await peers.stream(address, KEEP, opening, chunksOf(pieces), {
      signal: operation.signal,
      timeoutMs: OPEN_MS,
    });
    if (!(await answered(replies))) {
      throw new HedgerowError("outcome_unknown", "the segment's end was not acknowledged");
    }
    this.#add(address, tier, bytes, sentAt);
    if (this.#freed) this.free(); // in the instant in which it was acknowledged: nobody else would
    const name = tier === "memory" ? "remoteMemory" : "remoteDisk";
    return { tier: name, holder: address, id: segment, layout };
  }

  #add(holder: string, tier: RemoteTier, bytes: number, sentAt: number): void {
    const start = this.options.rooms.startAt(holder);
    if (start !== null) this.holderIs(holder, start);
    let placed = this.#placed.get(holder);
    if (placed === undefined) {
      placed = { start, memory: 0, disk: 0, renewedAt: sentAt, doubted: [] };
      this.#placed.set(holder, placed);
      if (this.#placed.size === 1) this.options.onFirst();
    }
    placed[tier] += bytes;
    placed.renewedAt = Math.max(placed.renewedAt, sentAt);
  }

  async #receive(
    place: RemotePlace,
    into: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
    onBytes?: (end: number) => void,
  ): Promise<void> {
    const { peers, clock } = this.options;
    using operation = new Operation(clock, "spill", { signal }, TRANSFER_MS);
    const opening = { owner: this.owner, segment: place.id };
    const chunks = await peers.stream(place.holder, FETCH, opening, [], {
      signal: operation.signal,
      timeoutMs,
    });
    let at = 0;
    onBytes?.(at);
    for await (const chunk of chunks) {
      if (at + chunk.length > into.length) throw wrongLength();
      into.set(chunk, at);
      at += chunk.length;
      discardPart(chunk);
      onBytes?.(at);
    }
    if (at < into.length) throw wrongLength();
  }
}

async function answered(replies: Replies): Promise<boolean> {
  let count = 0;
  for await (const _ of replies) count++;
  return count === 1;
}

function wrongLength(): HedgerowError {
  return new HedgerowError("data_lost", "the segment has another length than what was written");
}
