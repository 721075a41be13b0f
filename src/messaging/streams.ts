import type { MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import type { StreamOpeningSchema } from "../gen/hedgerow/v1/peer_pb.ts";
import type { LeaderDirectory } from "../lock/directory.ts";
import type { Leadership } from "../lock/lease.ts";
import { throughLeader } from "../lock/through-leader.ts";
import type { Logger } from "../observe/logger.ts";
import {
  type Address,
  type Peers,
  type Replies,
  type ServedStream,
  type StreamCallOptions,
  type StreamInput,
  type StreamKind,
  type StreamRoute,
  serveStream,
} from "../rpc/port.ts";
import type { StreamLimits } from "../rpc/streams/limits.ts";
import { openLoopback } from "../rpc/streams/loopback.ts";
import { Operation } from "../runtime/operation.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { broadcastStream } from "./broadcast-stream.ts";
import { OpenedLater } from "./opened-later.ts";
import {
  handle,
  handlerFailed,
  openingOf,
  type StreamHandler,
  type StreamOptions,
  TO_ALL,
  TO_LEADER,
} from "./stream-kinds.ts";
import { type Reply, type TargetOptions, targetsOf } from "./targets.ts";

/** A stream must have found its other end within so many milliseconds. */
const OPENING_MS = 10_000;
/** Only what surely did nothing is tried again: no leader, one that does not lead or cannot be reached. */
const RETRY = {
  repeatable: false,
  attempts: 11,
  pauseMs: { first: 100, longest: 2_000 },
  attemptTimeoutMs: Infinity,
};

export interface StreamsOptions {
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  readonly leadership: Leadership;
  readonly self: string;
  /** Addresses of all members, this node included. */
  readonly members: () => readonly string[];
  readonly onStream: StreamHandler | undefined;
  readonly onStreamBroadcast: StreamHandler | undefined;
  readonly limits?: StreamLimits | undefined;
  readonly onDoubt: () => void;
  readonly shutdown: AbortSignal;
}

export interface BroadcastStreamOptions extends StreamOptions, TargetOptions {}

/** Streams to the leader and to all members: DESIGN.md. */
export class Streams {
  /** What a node serves to others, and to itself. */
  readonly routes: readonly StreamRoute[];
  /** Of others, with this node as the leader. */
  readonly #led = new Set<ServedStream>();

  constructor(private readonly options: StreamsOptions) {
    const { onStream, onStreamBroadcast } = options;
    this.routes = [
      serveStream(
        TO_LEADER,
        (opening, messages, stream) => {
          this.#led.add(stream);
          stream.signal.addEventListener("abort", () => this.#led.delete(stream), { once: true });
          return handle("streamToLeader", onStream, opening, messages, stream);
        },
        { check: () => this.#mustLead(), failure: handlerFailed },
      ),
      serveStream(
        TO_ALL,
        (opening, messages, stream) =>
          handle("streamBroadcast", onStreamBroadcast, opening, messages, stream),
        { failure: handlerFailed },
      ),
    ];
  }

  /** This node no longer leads. */
  leadershipLost(): void {
    if (this.#led.size === 0) return;
    const error = this.#notLeader();
    for (const stream of [...this.#led]) stream.fail(error);
  }

  toLeader(input: StreamInput, options: StreamOptions = {}): Replies {
    checkInput(input);
    const { runtime, self, shutdown } = this.options;
    const opening = openingOf(options.metadata, () => runtime.random.id(), self);
    const life = new Operation(runtime.clock, "streamToLeader", options, Infinity, shutdown);
    const opened = this.#throughLeader(life, (to, call) =>
      this.#open(to, TO_LEADER, opening, input, call),
    );
    return new OpenedLater(opened, () => life.abandon());
  }

  toAll(input: StreamInput, options: BroadcastStreamOptions = {}): AsyncIterableIterator<Reply> {
    checkInput(input);
    const { runtime, self, shutdown, members } = this.options;
    const opening = openingOf(options.metadata, () => runtime.random.id(), self);
    const life = new Operation(runtime.clock, "streamBroadcast", options, Infinity, shutdown);
    return broadcastStream({
      life,
      clock: runtime.clock,
      input,
      targets: targetsOf(members(), self, options),
      open: (to, branch, call) => this.#open(to, TO_ALL, opening, branch, call),
    });
  }

  /** A stream stays with the leader that it began with, and ends when there is a newer one. */
  async #throughLeader(
    life: Operation,
    open: (leader: Address, call: StreamCallOptions) => Promise<Replies>,
  ): Promise<Replies> {
    const { runtime, directory } = this.options;
    const { signal } = life;
    const limits = { signal, timeoutMs: Math.min(OPENING_MS, life.remainingMs()) };
    using opening = new Operation(runtime.clock, life.what, limits, OPENING_MS);
    try {
      return await throughLeader(
        opening,
        { ...this.options, ...RETRY },
        (leader, { timeoutMs }) => {
          const stream = new AbortController();
          const end = () => stream.abort(signal.reason);
          signal.addEventListener("abort", end, { once: true });
          const unlisten = directory.onChange(() => {
            if ((directory.newest?.token ?? 0) > leader.token) stream.abort(this.#notLeader());
          });
          const detach = () => {
            unlisten();
            signal.removeEventListener("abort", end);
          };
          const onEnd = () => {
            detach();
            life[Symbol.dispose]();
          };
          if (signal.aborted) end();
          return open(leader.address, { timeoutMs, signal: stream.signal, onEnd }).catch(
            (error) => {
              detach();
              throw error;
            },
          );
        },
      );
    } catch (error) {
      life[Symbol.dispose]();
      throw error;
    }
  }

  #open(
    to: Address,
    kind: StreamKind<typeof StreamOpeningSchema>,
    opening: MessageInitShape<typeof StreamOpeningSchema>,
    input: StreamInput,
    call: StreamCallOptions,
  ): Promise<Replies> {
    const { peers, self, limits, logger, runtime } = this.options;
    if (to !== self) return peers.stream(to, kind, opening, input, call);
    const here = { self, limits, logger, clock: runtime.clock, routes: this.routes };
    return openLoopback(here, kind, opening, input, call);
  }

  #mustLead(): void {
    if (this.options.leadership.claim() === null) throw this.#notLeader();
  }

  #notLeader(): HedgerowError {
    const { directory, self } = this.options;
    const { leader } = directory;
    const elsewhere = leader !== null && leader.address !== self ? leader : undefined;
    const message = "streamToLeader: the node that had the stream does not lead";
    return new HedgerowError("not_leader", message, { leader: elsewhere });
  }
}

function checkInput(input: StreamInput): void {
  const isIterable = typeof input === "object" && input !== null;
  if (isIterable && (Symbol.asyncIterator in input || Symbol.iterator in input)) return;
  throw new HedgerowError("invalid_argument", "the input of a stream is an iterable of messages");
}
