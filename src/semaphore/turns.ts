import { HedgerowError } from "../errors.ts";
import { ClaimService } from "../gen/hedgerow/v1/claims_pb.ts";
import { Operation, sleep } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { Keeper } from "./keeper.ts";
import type { LeaderLink } from "./leader-link.ts";
import type { PermitTiming } from "./timing.ts";

const { awaitPermits } = ClaimService.method;

/** After a request that failed at once, in milliseconds. */
const PAUSE_MS = 100;

/** What all parts of a holder share. */
export interface HolderParts {
  readonly clock: Clock;
  readonly timing: PermitTiming;
  /** As in timing.ts; the control of the tests holds for ever. */
  readonly heldUntil: (sentAt: number, leaseMs: number) => number;
  readonly link: LeaderLink;
  /** Of this node, for when it leads. */
  readonly keeper: Keeper;
  /** Address of this node. */
  readonly self: string;
  readonly incarnation: () => number;
  /** Aborts when the node has stopped. */
  readonly shutdown: AbortSignal;
}

/** Until when the permit is held; null: it stands in no line, and is to be asked for anew. */
export type Turn = number | null;

/** Waits for the turns of all of this node's acquisitions, with one request at a time. */
export class Turns {
  readonly #waiting = new Map<string, (turn: Turn) => void>();
  /** Ends the request when nobody waits any more. */
  #poll: AbortController | null = null;

  constructor(private readonly options: HolderParts) {}

  /** Resolves when the leader has something to say of the grant. */
  wait(grant: string): Promise<Turn> {
    return new Promise((resolve) => {
      this.#waiting.set(grant, resolve);
      if (this.#poll === null) void this.#run();
    });
  }

  /** Nobody waits for it any more. */
  forget(grant: string): void {
    this.#waiting.delete(grant);
    if (this.#waiting.size > 0) return;
    this.#poll?.abort(new HedgerowError("canceled", "await permits: nobody waits any more"));
    this.#poll = null;
  }

  async #run(): Promise<void> {
    const poll = new AbortController();
    this.#poll = poll;
    const { clock, shutdown } = this.options;
    while (!poll.signal.aborted && !shutdown.aborted) {
      try {
        await this.#ask(poll.signal);
      } catch {
        // Whatever it was, each that waits has its own deadline, and says then what it knows.
        await sleep(clock, PAUSE_MS, poll.signal).catch(() => {});
      }
    }
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { clock, timing, link, keeper, self, shutdown } = this.options;
    const timeoutMs = timing.pollMs + timing.lateMs;
    using operation = new Operation(clock, "await permits", { signal }, timeoutMs, shutdown);
    const { reply, sentAt } = await link.ask(operation, {
      method: awaitPermits,
      request: () => ({
        holder: self,
        incarnation: BigInt(this.options.incarnation()),
        grants: [...this.#waiting.keys()],
        waitMs: timing.pollMs,
      }),
      local: (request, call) => keeper.serveAwait(request, call),
      attemptTimeoutMs: timeoutMs,
    });
    for (const grant of reply.acquired)
      this.#tell(grant, this.options.heldUntil(sentAt, reply.leaseMs));
    for (const grant of reply.unknown) this.#tell(grant, null);
  }

  #tell(grant: string, turn: Turn): void {
    const resolve = this.#waiting.get(grant);
    if (resolve === undefined) return; // it went away, and its permit is being given back
    this.forget(grant);
    resolve(turn);
  }
}
