import type { Peers } from "../../rpc/port.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { readRoom } from "./own-room.ts";
import { CALLS } from "./wire.ts";

export type RemoteTier = "memory" | "disk";

/** What a node says that it has room for, in bytes. */
interface Word {
  readonly memory: bigint;
  readonly disk: bigint;
  readonly stamp: bigint;
}

const NO_ROOM: Word = { memory: 0n, disk: 0n, stamp: 0n };
/** Milliseconds. */
const ASK_TIMEOUT_MS = 1_000;
const ASK_PAUSE_MS = 1_000;
/** Nodes that are asked at once. */
const MAX_ASKED = 8;
/** Rooms that differ by no more than this share are alike: owners differ in whom of them they send to first. */
const PREFERENCE = 1 / 20;

/** What a member has room for, by its last word, less what was sent to it since: rather too much than too little. */
export class Room {
  memory = 0;
  disk = 0;
  stamp = 0;

  constructor(
    readonly address: string,
    /** What its room is multiplied with: another factor for each pair of nodes. */
    readonly preference: number,
  ) {}

  /** What was subtracted since this was its newest word will not be sent after all. */
  released(tier: RemoteTier, bytes: number, stamp: number): void {
    if (this.stamp === stamp) this[tier] += bytes;
  }

  /** What it said when this was its newest word was wrong; a newer one counts. */
  refused(tier: RemoteTier, stamp: number): void {
    if (this.stamp === stamp) this[tier] = 0;
  }
}

/**
 * Who has room: what members hear of each other, and what a holder says of itself with each answer. Nothing but the
 * choice whom to try depends on it: a word that is wrong, or a lie, costs an attempt.
 */
export class Rooms {
  /** Whose word is the oldest first. */
  readonly #known = new Map<string, Room>();
  readonly #asking = new Map<string, Promise<void>>();
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Clock,
    private readonly peers: Peers,
    private readonly self: string,
    /** Addresses of the other nodes. */
    private readonly others: () => string[],
  ) {}

  /** Members say so. */
  heard(address: string, body: Uint8Array, stamp: number): void {
    const word = readRoom(body);
    if (word === null || stamp <= (this.#known.get(address)?.stamp ?? 0)) return;
    this.#set(address, { ...word, stamp: BigInt(stamp) });
  }

  /** The node itself says so, which counts more. */
  told({ address }: Room, word: Word): void {
    if (this.#known.has(address)) this.#set(address, word);
  }

  /** Another process may be there: until something is heard of it nothing is known. */
  forget(address: string): void {
    this.#known.delete(address);
  }

  /**
   * The members with so much room, the one with the most first, more or less. Those of whom nothing is known are asked
   * if none of the others has as much, or may be sent it.
   */
  async with(bytes: number, tier: RemoteTier, may = (_: string) => true): Promise<Room[]> {
    for (;;) {
      const members = this.others();
      const found = this.#having(bytes, tier, members);
      const unknown = members.filter((address) => !this.#known.has(address) && may(address));
      if (unknown.length === 0 || found.some(({ address }) => may(address))) return found;
      await Promise.all(unknown.slice(0, MAX_ASKED).map((address) => this.#ask(address)));
    }
  }

  /**
   * Nobody had room: the member of whom nothing was heard for the longest is asked, once a second at the most. A word may
   * have been lost, or be a lie.
   */
  askAgain(): void {
    const now = this.clock.now();
    if (now - this.#askedAt < ASK_PAUSE_MS) return;
    this.#askedAt = now;
    const members = this.others();
    const asked = this.#known.keys().find((address) => members.includes(address));
    if (asked !== undefined) void this.#ask(asked);
  }

  #having(bytes: number, tier: RemoteTier, members: readonly string[]): Room[] {
    return members
      .flatMap((address) => this.#known.get(address) ?? [])
      .filter((room) => room[tier] >= bytes)
      .sort((a, b) => b[tier] * b.preference - a[tier] * a.preference);
  }

  #ask(address: string): Promise<void> {
    const before = this.#asking.get(address);
    if (before !== undefined) return before;
    const asking = this.#askNow(address).finally(() => this.#asking.delete(address));
    this.#asking.set(address, asking);
    return asking;
  }

  async #askNow(address: string): Promise<void> {
    const options = { timeoutMs: ASK_TIMEOUT_MS };
    const before = this.#known.get(address)?.stamp;
    let word: Word = NO_ROOM; // as long as it does not answer
    try {
      word = await this.peers.unary(address, CALLS.room, { asker: this.self }, options);
    } catch {
      if (this.#known.get(address)?.stamp !== before) return; // something was heard of it meanwhile
    }
    if (this.others().includes(address)) this.#set(address, word); // of others nobody would forget it
  }

  #set(address: string, { memory, disk, stamp }: Word): void {
    const room = this.#known.get(address) ?? new Room(address, this.#preference(address));
    room.memory = Number(memory);
    room.disk = Number(disk);
    room.stamp = Number(stamp);
    this.#known.delete(address);
    this.#known.set(address, room);
  }

  #preference(address: string): number {
    const share = Bun.hash.xxHash32(`${this.self} ${address}`) / 2 ** 32;
    return 1 - PREFERENCE * share;
  }
}
