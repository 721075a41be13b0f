import { HedgerowError, messageOf } from "../errors.ts";
import { PeerService } from "../gen/hedgerow/v1/peer_pb.ts";
import type { LeaderDirectory } from "../lock/directory.ts";
import type { Leadership } from "../lock/lease.ts";
import { throughLeader } from "../lock/through-leader.ts";
import type { Peers, ServedCall } from "../rpc/port.ts";
import { Operation } from "../runtime/operation.ts";
import type { CallOptions, Runtime } from "../runtime/runtime.ts";
import { checkBytes, MAX_MESSAGE_BYTES } from "../store/limits.ts";
import { type Reply, type TargetOptions, targetsOf } from "./targets.ts";

/** Default time-outs in milliseconds. */
const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_RETRIES_TIMEOUT_MS = 30_000;
const DEFAULT_RETRIES = 10;
/** Between attempts: ten of them outlast the default lease's fail-over. */
const PAUSE_MS = { first: 100, longest: 5_000 };

/** A message as it travels. */
export interface Message {
  readonly data: Uint8Array;
  /** The same in all attempts, and for all members. */
  readonly id: string;
  /** Counts from 1. */
  readonly attempt: number;
  /** Address of the node that sends it. */
  readonly from: string;
  /** What that takes as a reply; 0: 4 MiB. */
  readonly maxReplyBytes: number;
}

/** What a handler is told beside the message's bytes. */
export interface Context extends Omit<Message, "data" | "maxReplyBytes"> {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

export type Handler = (
  data: Uint8Array,
  context: Context,
) => Uint8Array | string | undefined | Promise<Uint8Array | string | undefined>;

export interface MessagingOptions {
  readonly runtime: Runtime;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  readonly leadership: Leadership;
  readonly self: string;
  /** Addresses of all members, this node included. */
  readonly members: () => readonly string[];
  readonly onSend: Handler | undefined;
  readonly onBroadcast: Handler | undefined;
  /** Bytes of a message that this node takes, and of a reply. Default 4 MiB. */
  readonly maxMessageBytes?: number | undefined;
  readonly onDoubt: () => void;
  readonly shutdown: AbortSignal;
}

/** Messages to the leader and to all members. */
export class Messaging {
  readonly #maxBytes: number;

  constructor(private readonly options: MessagingOptions) {
    this.#maxBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES;
  }

  send(data: Uint8Array | string, options: CallOptions = {}): Promise<Uint8Array> {
    return this.#send(data, options, DEFAULT_TIMEOUT_MS, 1);
  }

  sendToLeader(
    data: Uint8Array | string,
    options: CallOptions & { readonly retries?: number | undefined } = {},
  ): Promise<Uint8Array> {
    const retries = options.retries ?? DEFAULT_RETRIES;
    const attempts = retries < 0 ? Infinity : retries + 1;
    return this.#send(data, options, DEFAULT_RETRIES_TIMEOUT_MS, attempts);
  }

  /** Each member's reply as it comes. A member that fails, or is late, is a reply with an error. */
  async *broadcast(
    data: Uint8Array | string,
    options: CallOptions & TargetOptions = {},
  ): AsyncGenerator<Reply, void, undefined> {
    const { runtime, self, members, shutdown } = this.options;
    const message = this.#message(data);
    const targets = targetsOf(members(), self, options);
    using operation = new Operation(
      runtime.clock,
      "broadcast",
      options,
      DEFAULT_TIMEOUT_MS,
      shutdown,
    );
    const pending = new Map<string, Promise<Reply>>();
    for (const address of targets)
      pending.set(address, this.#broadcastTo(address, message, operation));
    try {
      while (pending.size > 0) {
        const reply = await Promise.race(pending.values());
        pending.delete(reply.node);
        yield reply;
      }
    } finally {
      operation.abandon();
    }
  }

  async serveDeliver(message: Message, call: ServedCall): Promise<{ data: Uint8Array }> {
    const { leadership, directory, self, onSend } = this.options;
    if (leadership.claim() === null) {
      const { leader } = directory;
      const elsewhere = leader !== null && leader.address !== self ? leader : undefined;
      throw new HedgerowError("not_leader", "send: this node does not lead", { leader: elsewhere });
    }
    return { data: await this.#handle("send", onSend, message, call) };
  }

  async serveDeliverBroadcast(message: Message, call: ServedCall): Promise<{ data: Uint8Array }> {
    return { data: await this.#handle("broadcast", this.options.onBroadcast, message, call) };
  }

  async #send(
    data: Uint8Array | string,
    options: CallOptions,
    defaultTimeoutMs: number,
    attempts: number,
  ): Promise<Uint8Array> {
    const { runtime, peers, self, shutdown } = this.options;
    const message = this.#message(data);
    let attempt = 0;
    using operation = new Operation(runtime.clock, "send", options, defaultTimeoutMs, shutdown);
    const repeatable = attempts > 1;
    const retry = {
      ...this.options,
      repeatable,
      attempts,
      pauseMs: PAUSE_MS,
      attemptTimeoutMs: Infinity,
    };
    return await throughLeader(operation, retry, async (leader, call) => {
      const sent = { ...message, attempt: ++attempt };
      if (leader.address === self) return (await this.serveDeliver(sent, call)).data;
      const { deliver } = PeerService.method;
      return this.#reply(await peers.unary(leader.address, deliver, sent, call));
    });
  }

  #message(data: Uint8Array | string): Message {
    const { runtime, self } = this.options;
    return {
      data: messageBytes("message", data, this.#maxBytes),
      id: runtime.random.id(),
      attempt: 1,
      from: self,
      maxReplyBytes: this.#maxBytes === MAX_MESSAGE_BYTES ? 0 : this.#maxBytes,
    };
  }

  async #broadcastTo(node: string, message: Message, operation: Operation): Promise<Reply> {
    const { peers, self } = this.options;
    const call = { timeoutMs: operation.remainingMs(), signal: operation.signal };
    const { deliverBroadcast } = PeerService.method;
    try {
      if (node === self) {
        return { node, data: (await this.serveDeliverBroadcast(message, call)).data };
      }
      return { node, data: this.#reply(await peers.unary(node, deliverBroadcast, message, call)) };
    } catch (error) {
      return { node, error: HedgerowError.from(error) };
    }
  }

  /** Also of a node that has not heard of the limit. */
  #reply({ data }: { readonly data: Uint8Array }): Uint8Array {
    return messageBytes("reply", data, this.#maxBytes);
  }

  /** Runs a handler of the application: what it throws, or that it hangs, is this caller's error only. */
  async #handle(
    what: string,
    handler: Handler | undefined,
    { data, id, attempt, from, maxReplyBytes }: Message,
    call: ServedCall,
  ): Promise<Uint8Array> {
    if (handler === undefined) {
      const option = what === "send" ? "onSend" : "onBroadcast";
      const message = `${what}: no message handler on ${this.options.self}: start it with ${option}`;
      throw new HedgerowError("no_handler", message);
    }
    checkBytes("message", data, this.#maxBytes);
    const { runtime, shutdown } = this.options;
    using operation = new Operation(
      runtime.clock,
      `${what} handler`,
      call,
      call.timeoutMs,
      shutdown,
    );
    const { signal } = operation;
    const context = { signal, timeoutMs: operation.remainingMs(), id, attempt, from };
    const work = (async () => handler(data, context))();
    let reply: Uint8Array | string | undefined;
    try {
      reply = await operation.race(work);
    } catch (error) {
      // Also a HedgerowError of the handler's own is the handler's failure, and must not be retried.
      if (signal.aborted && error === signal.reason) throw error;
      throw new HedgerowError("handler_failed", messageOf(error), { cause: error });
    }
    if (reply !== undefined && typeof reply !== "string" && !(reply instanceof Uint8Array)) {
      const message = `the handler of ${what} gave a ${typeof reply}: return a string, a Uint8Array or nothing`;
      throw new HedgerowError("handler_failed", message);
    }
    const maxBytes = Math.min(this.#maxBytes, maxReplyBytes || MAX_MESSAGE_BYTES);
    return messageBytes("reply", reply ?? "", maxBytes);
  }
}

const utf8 = new TextEncoder();

function messageBytes(what: string, data: Uint8Array | string, maxBytes: number): Uint8Array {
  const bytes = typeof data === "string" ? utf8.encode(data) : data;
  checkBytes(what, bytes, maxBytes);
  return bytes;
}
