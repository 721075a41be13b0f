import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { LeaderDirectory } from "../lock/directory.ts";
import { throughLeader } from "../lock/through-leader.ts";
import type { Peers, ServedCall } from "../rpc/port.ts";
import type { Operation } from "../runtime/operation.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** Between attempts: what waits for a leader goes on soon after there is one. */
const PAUSE_MS = { first: 20, longest: 500 };

export interface LeaderLinkOptions {
  readonly runtime: Runtime;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  /** Address of this node. */
  readonly self: string;
  /** Somebody should look at the lock's row. */
  readonly onDoubt: () => void;
}

export interface LeaderCall<I extends DescMessage, O extends DescMessage> {
  readonly method: DescMethodUnary<I, O>;
  /** Made anew for each attempt. */
  readonly request: () => MessageInitShape<I>;
  /** What is done where this node leads itself. */
  readonly local: (request: MessageShape<I>, call: ServedCall) => Promise<MessageInitShape<O>>;
  /** Milliseconds after which an attempt is given up for another. */
  readonly attemptTimeoutMs: number;
}

export interface LeaderReply<O extends DescMessage> {
  readonly reply: MessageShape<O>;
  /** When the request was sent that it answers, by this node's clock. */
  readonly sentAt: number;
}

/** Asks whoever leads, this node included, until the operation ends. What is asked may be asked again. */
export class LeaderLink {
  constructor(private readonly options: LeaderLinkOptions) {}

  ask<I extends DescMessage, O extends DescMessage>(
    operation: Operation,
    { method, request, local, attemptTimeoutMs }: LeaderCall<I, O>,
  ): Promise<LeaderReply<O>> {
    const { runtime, peers, self } = this.options;
    const rules = {
      ...this.options,
      repeatable: true,
      attempts: Infinity,
      pauseMs: PAUSE_MS,
      attemptTimeoutMs,
    };
    return throughLeader(operation, rules, async ({ address }, attempt) => {
      const sentAt = runtime.clock.now();
      if (address !== self) {
        return { reply: await peers.unary(address, method, request(), attempt), sentAt };
      }
      const answer = await operation.race(local(create(method.input, request()), attempt));
      return { reply: create(method.output, answer), sentAt };
    });
  }
}
