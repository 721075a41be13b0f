import type { MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError, messageOf } from "../../errors.ts";
import {
  type FetchSegment,
  type KeepSegment,
  type RenewSpillResponseSchema,
  RoomResponseSchema,
  type SpillOwner,
} from "../../gen/hedgerow/v1/spill_pb.ts";
import type { Logger } from "../../observe/logger.ts";
import { encode } from "../../rpc/codec.ts";
import {
  type PeerRoute,
  type Received,
  type ServedStream,
  serve,
  serveStream,
  type StreamInput,
  type StreamRoute,
} from "../../rpc/port.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { ScratchFiles } from "../../runtime/scratch.ts";
import type { Budget } from "../budget.ts";
import { bufferBytes, type Buffers } from "../buffers.ts";
import { stoppedNode } from "../errors.ts";
import { MAX_EXPIRY_MS, MAX_SEALED_BYTES } from "../limits.ts";
import { type Held, holdInMemory, holdOnDisk } from "./held.ts";
import { Leased } from "./leased.ts";
import { LEAST_DISK_BYTES, LEAST_MEMORY_BYTES, type Notices, OwnRoom } from "./own-room.ts";
import type { RemoteOptions } from "./remote.ts";
import { startAt } from "./start.ts";
import { CALLS, FETCH, KEEP, MAX_RENEWED } from "./wire.ts";

export interface HolderOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The node's budgets, shared with its own stores. */
  readonly memory: Budget;
  readonly disk: Budget;
  readonly buffers: Buffers;
  /** null: no disk. */
  readonly files: ScratchFiles | null;
  /** null: no other nodes. */
  readonly cluster: HolderCluster | null;
}

export interface HolderCluster extends Pick<RemoteOptions, "peers" | "self" | "incarnation"> {
  /** How members hear of its room. Absent: they ask. */
  readonly notices?: Notices | undefined;
}

/** Longer than any owner tries, in milliseconds: the room of what never comes is free again. */
const MAX_RECEIVE_MS = 120_000;
/** Of `host:port`, with the longest name that a host may have. */
const MAX_ADDRESS_LENGTH = 270;

/** Keeps segments for other nodes. */
export class Holder {
  readonly #leased: Leased;
  #stopped = false;
  /** Addresses that are being asked who is there, and whether somebody came there since. */
  readonly #asking = new Map<string, boolean>();
  readonly #room: OwnRoom;

  constructor(private readonly options: HolderOptions) {
    const { notices = null, incarnation = 0n } = options.cluster ?? {};
    this.#leased = new Leased(options);
    this.#room = new OwnRoom({ ...options, notices, incarnation });
  }

  readonly routes: readonly PeerRoute[] = [
    serve(CALLS.room, async ({ asker }) => this.#tell(asker)),
    serve(CALLS.renewSpill, async ({ owners }) => this.#renew(owners)),
    serve(CALLS.freeSpill, async ({ owner }) => {
      this.#leased.free(checkOwner(owner));
      return {};
    }),
  ];

  readonly streamRoutes: readonly StreamRoute[] = [
    serveStream(KEEP, (opening, input, stream) => this.#keep(opening, input, stream)),
    serveStream(FETCH, (opening) => this.#fetch(opening)),
  ];

  /** Stores of other nodes of which something is kept. */
  get stores(): number {
    return this.#leased.stores;
  }

  /** How often there was no room for what came. */
  get refusals(): number {
    return this.#room.refusals;
  }

  /** Members hear of its room. */
  start(): void {
    this.#room.start();
  }

  /**
   * What an earlier process at this address owned is nobody's, if another one is there now: it is asked, and if it does
   * not answer the lease tells.
   */
  memberJoined(address: string): void {
    if (!this.#leased.hasOf(address)) return;
    if (this.#asking.has(address)) this.#asking.set(address, true);
    else void this.#freeFormer(address);
  }

  stop(): void {
    this.#stopped = true;
    this.#room.stop();
    this.#leased.freeAll();
  }

  #tell(asker: string) {
    if (asker === "") throw new HedgerowError("invalid_argument", "asker is empty: name the node");
    if (this.#stopped) throw stoppedNode();
    return this.#room.answer();
  }

  #renew(owners: readonly SpillOwner[]): MessageInitShape<typeof RenewSpillResponseSchema> {
    if (owners.length > MAX_RENEWED) {
      throw new HedgerowError("invalid_argument", `${MAX_RENEWED} stores at once at the most`);
    }
    return { unknown: this.#leased.renew(owners.map(checkOwner)) };
  }

  /** Room is taken before a byte of it is sent. */
  #keep(opening: KeepSegment, input: Received, stream: ServedStream): StreamInput {
    const { memory, disk, files } = this.options;
    const budget = opening.inMemory ? memory : disk;
    const bytes = checkOpening(opening);
    if (this.#stopped) throw stoppedNode();
    if (!opening.inMemory && files === null) throw noRoom(opening, "it has no disk");
    const price = opening.inMemory
      ? Math.max(bufferBytes(bytes), LEAST_MEMORY_BYTES)
      : Math.max(bytes, LEAST_DISK_BYTES);
    if (!budget.tryTake(price)) {
      this.#room.refused();
      throw noRoom(opening, `${budget.free} bytes are free`);
    }
    const kept = this.#receive(opening, bytes, () => budget.give(price), input, stream);
    kept.catch(() => {}); // told to the owner, if it is there still
    const room = this.#room;
    return (async function* () {
      await kept;
      yield encode(RoomResponseSchema, room.answer());
    })();
  }

  async #receive(
    opening: KeepSegment,
    bytes: number,
    giveBack: () => void,
    input: Received,
    stream: ServedStream,
  ): Promise<void> {
    const { clock, files, logger, buffers } = this.options;
    const late = new HedgerowError("timeout", `a segment came not whole in ${MAX_RECEIVE_MS} ms`);
    const timer = clock.schedule(MAX_RECEIVE_MS, () => stream.fail(late));
    let held: Held;
    try {
      held =
        opening.inMemory || files === null
          ? await holdInMemory(input, bytes, buffers, giveBack)
          : await holdOnDisk(input, bytes, files, giveBack);
    } catch (error) {
      giveBack();
      if (error instanceof HedgerowError) throw error;
      logger.warn("segment of another node not kept", { error: messageOf(error) });
      if (!opening.inMemory) this.#room.diskFailed();
      throw noRoom(opening, messageOf(error));
    } finally {
      timer.cancel();
    }
    // Else the owner does not know that it is here, or nobody frees it any more.
    if (!stream.signal.aborted && !this.#stopped) return this.#leased.add(opening, held);
    held.free();
    throw stoppedNode();
  }

  #fetch({ owner, segment }: FetchSegment): StreamInput {
    const held = this.#leased.find(owner, segment);
    if (held === undefined) {
      throw new HedgerowError("not_found", "no such segment: its lease has ended, or it was freed");
    }
    return held.chunks();
  }

  async #freeFormer(address: string): Promise<void> {
    const { cluster, logger } = this.options;
    if (cluster === null) return;
    do {
      this.#asking.set(address, false);
      const start = await startAt(address, { ...cluster, logger });
      if (typeof start === "bigint") this.#leased.freeFormer(address, start);
    } while (this.#asking.get(address) === true);
    this.#asking.delete(address);
  }
}

function checkOwner(owner: SpillOwner | undefined): SpillOwner {
  const { address } = owner ?? { address: "" };
  if (owner !== undefined && address !== "" && address.length <= MAX_ADDRESS_LENGTH) return owner;
  throw new HedgerowError("invalid_argument", "owner has no address, or none of a node: name it");
}

/** Gives its bytes. */
function checkOpening({ owner, expiryMs, bytes }: KeepSegment): number {
  checkOwner(owner);
  if (!(expiryMs > 0 && expiryMs <= MAX_EXPIRY_MS)) {
    throw new HedgerowError("invalid_argument", `expiry_ms ${expiryMs}: 1 to ${MAX_EXPIRY_MS}`);
  }
  if (bytes === 0n) throw new HedgerowError("invalid_argument", "a segment of no bytes");
  if (bytes > MAX_SEALED_BYTES) {
    throw new HedgerowError("too_large", `a segment of more than ${MAX_SEALED_BYTES} bytes`);
  }
  return Number(bytes);
}

function noRoom({ inMemory }: KeepSegment, why: string): HedgerowError {
  return new HedgerowError(
    "no_space",
    `no ${inMemory ? "memory" : "disk"} for the segment: ${why}`,
  );
}
