import { HedgerowError, messageOf } from "../../errors.ts";
import type { Peers, Replies } from "../../rpc/port.ts";
import { Operation } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { RemotePlace } from "../catalog.ts";
import type { CompleteLimits } from "../limits.ts";
import type { Sealed } from "../sealed.ts";
import type { Holders } from "./holders.ts";
import { readRoom } from "./own-room.ts";
import type { RemoteTier, Room, Rooms } from "./rooms.ts";
import { chunksOf, KEEP, OPEN_MS, type OwnerId, TRANSFER_MS } from "./wire.ts";

export interface SenderOptions {
  readonly limits: CompleteLimits;
  readonly clock: Clock;
  readonly peers: Peers;
  readonly rooms: Rooms;
  readonly owner: OwnerId;
  readonly holders: Holders;
}

/** A segment on its way to one node. */
interface Sending {
  readonly holder: string;
  readonly tier: RemoteTier;
  readonly bytes: number;
}

const PUT_ATTEMPTS = 2;

/** Sends segments of one store to nodes that have room for them. */
export class Sender {
  readonly #sending = new Set<Sending>();
  #made = 0;

  constructor(private readonly options: SenderOptions) {}

  /** See `Elsewhere`. */
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
      const may = (holder: string) => this.#allows({ holder, tier, bytes });
      for (const room of await asking.race(rooms.with(bytes, tier, may))) {
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
          if (signal.aborted) {
            room.released(tier, bytes, stamp);
            throw error;
          }
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

  /** Limits hold on each node. */
  #allows({ holder, tier, bytes }: Sending): boolean {
    const { holders, limits } = this.options;
    const { memoryBytes, diskBytes } = limits;
    const limit = tier === "memory" ? memoryBytes : diskBytes;
    let taken = holders.bytesAt(holder, tier);
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
    const { peers, clock, rooms, owner, holders, limits } = this.options;
    const { bytes } = layout;
    const segment = this.#made++;
    const sentAt = clock.now();
    using operation = new Operation(clock, "spill", { signal }, TRANSFER_MS);
    const opening = {
      owner,
      segment,
      bytes: BigInt(bytes),
      inMemory: tier === "memory",
      expiryMs: limits.expiryMs,
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
    holders.add(address, tier, bytes, sentAt, word?.incarnation || null);
    const name = tier === "memory" ? "remoteMemory" : "remoteDisk";
    return { tier: name, holder: address, id: segment, layout };
  }
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
