import { HedgerowError, messageOf } from "../../errors.ts";
import type { Logger } from "../../observe/logger.ts";
import type { Peers, Replies } from "../../rpc/port.ts";
import { Operation, sleep } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import {
  type Catalog,
  isRemote,
  type Loss,
  type RemotePlace,
  type StoredSegment,
} from "../catalog.ts";
import type { Elsewhere } from "../elsewhere.ts";
import type { CompleteLimits } from "../limits.ts";
import type { Sealed } from "../sealed.ts";
import { readRoom } from "./own-room.ts";
import type { RemoteTier, Room, Rooms } from "./rooms.ts";
import { isSilence, silentAt, Silences } from "./silences.ts";
import { nobodyListens } from "./start.ts";
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
/** Until a holder takes the stream. */
const OPEN_MS = 4_000;
const PUT_ATTEMPTS = 2;

const STARTED_ANEW = "its node was started anew";

/** The memory and disks of other nodes, for one store. */
export class RemoteStore implements Elsewhere {
  readonly owner: OwnerId;
  readonly expiryMs: number;
  readonly #placed = new Map<string, Placed>();
  readonly #silences: Silences;
  readonly #sending = new Set<Sending>();
  #made = 0;
  #freed = false;

  constructor(private readonly options: RemoteStoreOptions) {
    this.owner = options.owner;
    this.expiryMs = options.limits.expiryMs;
    this.#silences = new Silences(options.clock, this.expiryMs);
  }

  holders(): IterableIterator<string> {
    return this.#placed.keys();
  }

  async put(sealed: Sealed, signal: AbortSignal, onFailed?: () => void): Promise<RemotePlace> {
    for (let attempt = 1; ; attempt++) {
      const tried = await this.#tryAll(sealed, signal, onFailed);
      if ("place" in tried) return tried.place;
      if (!tried.isBroken || attempt === PUT_ATTEMPTS) {
        this.options.rooms.askAgain();
        throw new HedgerowError("no_space", tried.why);
      }
    }
  }

  /** `isBroken`: a holder failed that did not say that it has no room. */
  async #tryAll(
    sealed: Sealed,
    signal: AbortSignal,
    onFailed?: () => void,
  ): Promise<{ place: RemotePlace } | { why: string; isBroken: boolean }> {
    const { clock, rooms } = this.options;
    const { bytes } = sealed.layout;
    using asking = new Operation(clock, "spill", { signal }, Number.POSITIVE_INFINITY);
    let why = "no other node has room";
    let isBroken = false;
    for (const tier of ["memory", "disk"] as const) {
      for (const room of await asking.race(rooms.with(bytes, tier))) {
        signal.throwIfAborted();
        if (room[tier] < bytes) continue; // something else went there meanwhile
        const { stamp } = room;
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
          onFailed?.();
          why = `${room.address}: ${messageOf(error)}`;
          if (HedgerowError.is(error, "no_space")) room.refused(tier, stamp);
          else {
            // Only its connection may have broken: it is asked again, should nobody else have room.
            isBroken = true;
            rooms.forget(room.address);
          }
        } finally {
          this.#sending.delete(sending);
        }
      }
    }
    return { why, isBroken };
  }

  /** Waits for a holder that does not answer: it may be busy, or stand still for a while (`Silences`). */
  async fetch(
    place: RemotePlace,
    into: Uint8Array,
    signal?: AbortSignal,
    onBytes?: (end: number) => void,
  ): Promise<void> {
    const { clock, others } = this.options;
    const { holder } = place;
    this.#silences.check(holder);
    for (;;) {
      const openMs = Math.min(OPEN_MS, this.#silences.tryForMs(holder));
      try {
        await this.#receive(place, into, openMs, signal, onBytes);
        this.#silences.end(holder);
        return;
      } catch (error) {
        if (signal?.aborted) throw error;
        const isGone = nobodyListens(error) && !others().includes(holder);
        if (isGone || !isSilence(error)) {
          this.#silences.end(holder);
          const { code, why } = goneFrom(holder, messageOf(error));
          throw new HedgerowError(code, why, { cause: error });
        }
        await sleep(clock, this.#silences.pauseMs(holder, messageOf(error)), signal);
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

  /**
   * Nobody answers there, or no process listens: what it has counts as out of reach, or as lost, unless the lease is renewed
   * in time.
   */
  holderSilent(holder: string, askedAt: number, nobodyListens: boolean): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined || placed.renewedAt > askedAt) return;
    const marked = nobodyListens
      ? this.#markLost(holder, goneFrom(holder, "no process listens there"))
      : this.#markLost(holder, { code: "out_of_reach", why: silentAt(holder) });
    placed.doubted = [...placed.doubted, ...marked];
  }

  renewed(holder: string, sentAt: number): void {
    const placed = this.#placed.get(holder);
    if (placed === undefined) return;
    placed.renewedAt = Math.max(placed.renewedAt, sentAt);
    this.#silences.end(holder);
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
    this.#markLost(holder, goneFrom(holder, why));
  }

  /** Those that were not lost already. */
  #markLost(holder: string, loss: Loss): StoredSegment[] {
    const { catalog, logger, name } = this.options;
    const marked = catalog.segments.filter(
      ({ place, lost }) => isRemote(place) && place.holder === holder && lost === null,
    );
    for (const stored of marked) stored.lost = loss;
    if (marked.length > 0) catalog.onLost();
    const { code, why } = loss;
    const what = code === "data_lost" ? "spilled records lost" : "spilled records out of reach";
    logger.warn(what, { store: name, holder, segments: marked.length, why });
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
    const { peers, clock, rooms } = this.options;
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
    const answer = await onlyOne(replies);
    if (answer === null) {
      throw new HedgerowError("outcome_unknown", "the segment's end was not acknowledged");
    }
    const word = readRoom(answer);
    if (word !== null) rooms.told(room, word);
    this.#add(address, tier, bytes, sentAt, word?.incarnation || null);
    if (this.#freed) this.free(); // in the instant in which it was acknowledged: nobody else would
    const name = tier === "memory" ? "remoteMemory" : "remoteDisk";
    return { tier: name, holder: address, id: segment, layout };
  }

  /** `start`: by its own word. */
  #add(
    holder: string,
    tier: RemoteTier,
    bytes: number,
    sentAt: number,
    start: bigint | null,
  ): void {
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
    await chunks.each((chunk) => {
      if (at + chunk.length > into.length) throw wrongLength();
      into.set(chunk, at);
      at += chunk.length;
      onBytes?.(at);
    });
    if (at < into.length) throw wrongLength();
  }
}

function goneFrom(holder: string, why: string): Loss {
  return { code: "data_lost", why: `they were kept by ${holder}: ${why}` };
}

async function onlyOne(replies: Replies): Promise<Uint8Array | null> {
  let last: Uint8Array | null = null;
  let count = 0;
  for await (const reply of replies) {
    last = reply;
    count++;
  }
  return count === 1 ? last : null;
}

function wrongLength(): HedgerowError {
  return new HedgerowError("data_lost", "the segment has another length than what was written");
}
