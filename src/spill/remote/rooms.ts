import type { Peers } from "../../rpc/port.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { CALLS } from "./wire.ts";

/** Bytes that a member had room for when it was last asked, less what was sent to it since. */
export interface Room {
  readonly address: string;
  /** Which start of a process has it. */
  readonly start: bigint;
  memory: number;
  disk: number;
}

export type RemoteTier = "memory" | "disk";

/** Answers older than this many milliseconds are asked for anew. */
const FRESH_MS = 2_000;
/** They may be as young as this where they had no room. */
const MIN_AGE_MS = 200;
const ASK_TIMEOUT_MS = 1_000;

/** Who has room: all members are asked at once, and the answers kept for a while. */
export class Rooms {
  #rooms: Room[] = [];
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;

  constructor(
    private readonly clock: Clock,
    private readonly peers: Peers,
    private readonly self: string,
    /** Addresses of the other nodes. */
    private readonly others: () => string[],
  ) {}

  /** The members with so much room, the one with the most first. */
  async with(bytes: number, tier: RemoteTier): Promise<Room[]> {
    if (this.#age() > FRESH_MS) await this.#ask();
    const found = this.#having(bytes, tier);
    if (found.length > 0 || this.#age() < MIN_AGE_MS) return found;
    await this.#ask();
    return this.#having(bytes, tier);
  }

  /** Which start of a process had room at this address when it was last asked. */
  startAt(address: string): bigint | null {
    return this.#rooms.find((room) => room.address === address)?.start ?? null;
  }

  /** Another process may be there: it is asked anew. */
  forget(address: string): void {
    this.#rooms = this.#rooms.filter((room) => room.address !== address);
    this.#askedAt = Number.NEGATIVE_INFINITY;
  }

  #having(bytes: number, tier: RemoteTier): Room[] {
    return this.#rooms
      .filter((room) => room[tier] >= bytes)
      .sort((one, other) => other[tier] - one[tier]);
  }

  #age(): number {
    return this.clock.now() - this.#askedAt;
  }

  #ask(): Promise<void> {
    this.#asking ??= this.#askAll().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #askAll(): Promise<void> {
    const answers = this.others().map(async (address): Promise<Room> => {
      const options = { timeoutMs: ASK_TIMEOUT_MS };
      const { memory, disk, incarnation } = await this.peers.unary(
        address,
        CALLS.room,
        { asker: this.self },
        options,
      );
      return { address, start: incarnation, memory: Number(memory), disk: Number(disk) };
    });
    const settled = await Promise.allSettled(answers);
    // Who does not answer is asked with all again.
    this.#rooms = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    this.#askedAt = this.clock.now();
  }
}
