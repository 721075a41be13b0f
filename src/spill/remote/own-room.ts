import type { MessageInitShape } from "@bufbuild/protobuf";
import { type RoomResponse, RoomResponseSchema } from "../../gen/hedgerow/v1/spill_pb.ts";
import { decode, encode } from "../../rpc/codec.ts";
import type { Clock, Timer } from "../../runtime/runtime.ts";
import type { ScratchFiles } from "../../runtime/scratch.ts";
import type { Budget } from "../budget.ts";

/** What a segment of another node counts at the least: an entry in memory, and a file with its descriptor. */
export const LEAST_MEMORY_BYTES = 4 * 1024;
export const LEAST_DISK_BYTES = 64 * 1024;
/** Members are told no more often than this, in milliseconds. */
const PAUSE_MS = 1_000;
/** How long a disk that failed counts as full, in milliseconds. */
const DISK_FULL_MS = 10_000;
/** Of what they were told last, the share by which it must differ for them to be told anew. */
const NOTICEABLE_SHARE = 1 / 8;

/** How members are told; see Gossip. */
export interface Notices {
  say(body: Uint8Array): void;
  stamp(): number;
}

export interface OwnRoomOptions {
  readonly clock: Clock;
  readonly memory: Budget;
  readonly disk: Budget;
  /** null: no disk. */
  readonly files: ScratchFiles | null;
  /** null: nobody is told, but who asks. */
  readonly notices: Notices | null;
  readonly incarnation: bigint;
}

interface Space {
  readonly memory: number;
  readonly disk: number;
}

/** What this node has room for, and what the members have heard of that. */
export class OwnRoom {
  #said: Space | null = null;
  /** Until when the disk counts as full, whatever the limit says. */
  #diskFullUntil = 0;
  /** How often somebody relied on what was said in vain, and whether since it was said last. */
  #refusals = 0;
  #misled = false;
  #timer: Timer | null = null;
  #stopped = false;

  constructor(private readonly options: OwnRoomOptions) {}

  /** Says it now, and from now on whenever it is noticeably different. */
  start(): void {
    const { notices, clock } = this.options;
    if (notices === null || this.#stopped) return;
    const space = this.#space();
    if (this.#said === null || this.#misled || isNoticeable(this.#said, space)) {
      this.#said = space;
      this.#misled = false;
      notices.say(encode(RoomResponseSchema, bigints(space)));
    }
    this.#timer = clock.schedule(PAUSE_MS, () => this.start());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** For who asks, or has just sent something. */
  answer(): MessageInitShape<typeof RoomResponseSchema> {
    const { incarnation, notices } = this.options;
    const stamp = BigInt(notices?.stamp() ?? 0);
    return { ...bigints(this.#space()), incarnation, stamp };
  }

  get refusals(): number {
    return this.#refusals;
  }

  /** There was no room for something: who sent it believes that there is none until it hears something newer. */
  refused(): void {
    this.#refusals++;
    this.#misled = true;
  }

  /** The disk took no more, though the limit has room: others need not learn that by a segment each. */
  diskFailed(): void {
    this.#diskFullUntil = this.options.clock.now() + DISK_FULL_MS;
    this.refused();
  }

  #space(): Space {
    const { memory, disk, files, clock } = this.options;
    const hasDisk = files !== null && clock.now() >= this.#diskFullUntil;
    return {
      memory: memory.free < LEAST_MEMORY_BYTES ? 0 : memory.free,
      disk: !hasDisk || disk.free < LEAST_DISK_BYTES ? 0 : disk.free,
    };
  }
}

/** What another node says of its room; null if that cannot be read, which says nothing. */
export function readRoom(body: Uint8Array): RoomResponse | null {
  try {
    return decode(RoomResponseSchema, body);
  } catch {
    return null;
  }
}

export function isNoticeable(said: Space, now: Space): boolean {
  return differs(said.memory, now.memory) || differs(said.disk, now.disk);
}

function differs(said: number, now: number): boolean {
  return now !== said && Math.abs(now - said) >= said * NOTICEABLE_SHARE;
}

function bigints({ memory, disk }: Space) {
  return { memory: BigInt(memory), disk: BigInt(disk) };
}
