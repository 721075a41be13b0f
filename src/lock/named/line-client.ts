import type { DescMessage, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../../errors.ts";
import { ClaimService } from "../../gen/hedgerow/v1/claims_pb.ts";
import type { Logger } from "../../observe/logger.ts";
import type { Peers } from "../../rpc/port.ts";
import { Operation } from "../../runtime/operation.ts";
import type { CallOptions, Runtime } from "../../runtime/runtime.ts";
import type { LeaderDirectory } from "../directory.ts";
import { throughLeader } from "../through-leader.ts";
import type { Lines } from "./lines.ts";

const { awaitLock, leaveLock, lockReleased } = ClaimService.method;

/** How long one that waits tries to get its place before it looks at the lock on its own, in milliseconds. */
const ENTER_TIMEOUT_MS = 1_000;
const ENTER_ATTEMPTS = 3;
/** How long a node tries to tell that a lock is free, or that nobody waits for it, in milliseconds. */
const TELL_TIMEOUT_MS = 2_000;
/** An attempt that takes longer is given up for another, in milliseconds. */
const ATTEMPT_TIMEOUT_MS = 500;
const PAUSE_MS = { first: 20, longest: 200 };

export interface LineClientOptions {
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  /** Address of this node. */
  readonly self: string;
  /** Of this node, for when it leads. */
  readonly lines: Lines;
  readonly onDoubt: () => void;
}

/** A place in the line of a leader. */
export interface Position {
  readonly ahead: number;
  /** That leader's fencing token. */
  readonly leader: number;
}

/** Speaks to the waiting lines of whoever leads. What it says may be said again. */
export class LineClient {
  readonly #telling = new Set<Promise<void>>();
  readonly #closed = new AbortController();

  constructor(private readonly options: LineClientOptions) {}

  /** Takes a place, or keeps it. Throws what kept it from one, within a second. */
  async enter(
    name: string,
    contender: string,
    waitedMs: number,
    signal: AbortSignal,
  ): Promise<Position> {
    const { self: member, lines } = this.options;
    const request = { name, contender, member, waitedMs: Math.round(Math.max(0, waitedMs)) };
    const limits = { timeoutMs: ENTER_TIMEOUT_MS, signal };
    const { reply, leader } = await this.#ask(limits, ENTER_ATTEMPTS, awaitLock, request, () =>
      lines.serveAwait(request),
    );
    return { ahead: reply.ahead ?? 0, leader };
  }

  /**
   * Gives a place up: the lock is taken under `token`, or with 0 not wanted any more. That the leader does not hear
   * of it costs the next in the line a moment.
   */
  leave(name: string, contender: string, token: number): Promise<void> {
    const request = { name, contender, token: BigInt(token), member: this.options.self };
    return this.#tell(leaveLock, request, () => this.options.lines.serveLeave(request));
  }

  /**
   * The lock is free, and `told` is told so by this node, "" if nobody is. That the leader does not hear of it
   * costs the next in the line a lease.
   */
  released(name: string, token: number, told: string): Promise<void> {
    const request = { name, token: BigInt(token), told };
    return this.#tell(lockReleased, request, () => this.options.lines.serveReleased(request));
  }

  /** Ends what is under way, after it had so many milliseconds to come to its end. */
  async close(graceMs: number): Promise<void> {
    const late = this.options.runtime.clock.schedule(graceMs, () => this.#end());
    await Promise.all(this.#telling);
    late.cancel();
    this.#end();
  }

  #end(): void {
    this.#closed.abort(new HedgerowError("stopped", "the node is stopping"));
  }

  /** Never rejects. */
  #tell<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    local: () => MessageInitShape<O>,
  ): Promise<void> {
    const limits = { timeoutMs: TELL_TIMEOUT_MS };
    const telling = this.#ask(limits, Infinity, method, request, local)
      .then(
        () => {},
        (thrown: unknown) => {
          const { code, message: error } = HedgerowError.from(thrown);
          this.options.logger.debug("leader not told", { method: method.name, code, error });
        },
      )
      .finally(() => this.#telling.delete(telling));
    this.#telling.add(telling);
    return telling;
  }

  async #ask<I extends DescMessage, O extends DescMessage>(
    limits: CallOptions & { readonly timeoutMs: number },
    attempts: number,
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    local: () => MessageInitShape<O>,
  ): Promise<{ reply: MessageInitShape<O>; leader: number }> {
    const { runtime, peers, self } = this.options;
    const { timeoutMs } = limits;
    const closed = this.#closed.signal;
    using operation = new Operation(runtime.clock, method.name, limits, timeoutMs, closed);
    const rules = {
      ...this.options,
      repeatable: true,
      attempts,
      attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
      pauseMs: PAUSE_MS,
    };
    return await throughLeader(operation, rules, async ({ address, token }, attempt) => ({
      reply: address === self ? local() : await peers.unary(address, method, request, attempt),
      leader: token,
    }));
  }
}
