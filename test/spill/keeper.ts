import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../../src/errors.ts";
import type { FetchSegment, KeepSegment } from "../../src/gen/hedgerow/v1/spill_pb.ts";
import type { Peers, StreamInput, StreamKind } from "../../src/rpc/port.ts";
import { CALLS, FETCH, KEEP } from "../../src/spill/remote/wire.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { received } from "../rpc/kit/streams.ts";
import { type SpillSettings, spillOf } from "./kit.ts";

type Sent = AsyncGenerator<Uint8Array, undefined, undefined>;

export const HOLDER = "127.0.0.1:1";

/** Another node, which keeps all that it is sent. */
export class Keeper {
  readonly kept = new Map<number, Uint8Array>();
  /** What answers wait for, acknowledgements, and fetches. */
  answering = Promise.resolve();
  acknowledging = Promise.resolve();
  fetching = Promise.resolve();
  fetches = 0;
  /** So many segments to come are cut off. */
  cuts = 0;
  renewals = 0;
  /** Which start of a process it is. */
  start = 1n;
  asked = 0;
  /** What every call and stream fails with. */
  failure: HedgerowError | null = null;
  /** Of the cluster, but the node itself. */
  readonly members = [HOLDER];

  readonly peers: Peers = {
    unary: (async (_to: string, method: { name: string }) => {
      if (this.failure !== null) throw this.failure;
      if (method === CALLS.room) return this.#room();
      if (method === CALLS.renewSpill) this.renewals++;
      if (method === CALLS.freeSpill) this.kept.clear();
      return { unknown: [] };
    }) as unknown as Peers["unary"],
    stream: async <H extends DescMessage>(
      _to: string,
      kind: StreamKind<H>,
      opening: MessageInitShape<H>,
      input: StreamInput,
    ) => {
      if (kind.name === KEEP.name)
        return received(this.#keep(opening as unknown as KeepSegment, input));
      if (kind.name === FETCH.name)
        return received(this.#fetch(opening as unknown as FetchSegment));
      throw new Error(`no stream ${kind.name}`);
    },
    forget() {},
  };

  async #room() {
    this.asked++;
    await this.answering;
    return { memory: 1n << 30n, disk: 1n << 30n, incarnation: this.start };
  }

  async *#keep({ segment }: KeepSegment, input: StreamInput): Sent {
    if (this.cuts-- > 0) throw new HedgerowError("outcome_unknown", "the connection broke");
    this.kept.set(segment, Buffer.concat((await Array.fromAsync(input)) as Uint8Array[]));
    await this.acknowledging;
    yield new Uint8Array([1]);
    return undefined;
  }

  async *#fetch({ segment }: FetchSegment): Sent {
    this.fetches++;
    await this.fetching;
    if (this.failure !== null) throw this.failure;
    const bytes = this.kept.get(segment);
    if (bytes === undefined) throw new HedgerowError("not_found", "no such segment");
    yield new Uint8Array(bytes); // what comes over a stream is the reader's own
    return undefined;
  }
}

/** A node with 64 KiB of memory, and this one beside it. */
export function spillBeside(keeper: Keeper, settings: SpillSettings = {}) {
  const clock = new ManualClock();
  const cluster = {
    peers: keeper.peers,
    self: "127.0.0.1:2",
    incarnation: 1n,
    others: () => keeper.members,
  };
  return { spill: spillOf({ clock, cluster, memoryBytes: 64 << 10, ...settings }), clock };
}
