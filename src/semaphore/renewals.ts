import { HedgerowError } from "../errors.ts";
import { ClaimService } from "../gen/hedgerow/v1/claims_pb.ts";
import type { SeldomWarner } from "../observe/seldom.ts";
import { Operation, sleep } from "../runtime/operation.ts";
import type { HeldPermit, PermitClaim } from "./held-permit.ts";
import { MAX_CLAIMS } from "./keeper.ts";
import type { HolderParts } from "./turns.ts";

const { renewPermits } = ClaimService.method;

/** Tells the leader again and again which permits this node uses; while it has none, it does nothing. */
export class Renewals {
  readonly #permits = new Map<string, HeldPermit>();
  /** Ends the loop. */
  #ended: AbortController | null = null;

  constructor(
    private readonly options: HolderParts,
    private readonly warner: SeldomWarner,
  ) {}

  add(permit: HeldPermit): void {
    this.#permits.set(permit.claim.grant, permit);
    if (this.#ended === null) void this.#run();
  }

  delete(permit: HeldPermit): void {
    this.#permits.delete(permit.claim.grant);
    if (this.#permits.size > 0) return;
    this.#ended?.abort();
    this.#ended = null;
  }

  async #run(): Promise<void> {
    const ended = new AbortController();
    this.#ended = ended;
    const { clock, timing, shutdown } = this.options;
    let waitMs = timing.renewEveryMs;
    while (!ended.signal.aborted && !shutdown.aborted) {
      await sleep(clock, waitMs, ended.signal).catch(() => {}); // the loop sees its end
      const startedAt = clock.now();
      const renewed = await this.#renewAll(ended.signal);
      const againMs = renewed ? timing.renewEveryMs : timing.renewEveryMs / 10;
      waitMs = Math.max(0, againMs - (clock.now() - startedAt));
    }
  }

  /** False if not all could be. */
  async #renewAll(signal: AbortSignal): Promise<boolean> {
    const permits = [...this.#permits.values()].filter((permit) => permit.held);
    try {
      while (permits.length > 0) await this.#renew(permits.splice(0, MAX_CLAIMS), signal);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      const { code, message } = HedgerowError.from(error);
      this.warner.warn(code, "permits not renewed", { code, error: message });
      return false;
    }
  }

  async #renew(permits: readonly HeldPermit[], signal: AbortSignal): Promise<void> {
    const { clock, timing, link, keeper, shutdown } = this.options;
    const claims: PermitClaim[] = permits.map(({ claim }) => claim);
    using operation = new Operation(clock, "renew", { signal }, timing.renewEveryMs, shutdown);
    const { reply, sentAt } = await link.ask(operation, {
      method: renewPermits,
      request: () => ({ claims }),
      local: (request) => keeper.serveRenew(request),
      attemptTimeoutMs: timing.renewEveryMs / 2,
    });
    const lost = new Set(reply.lost.map(({ grant }) => grant));
    for (const permit of permits) {
      if (lost.has(permit.claim.grant)) permit.lose("the leader has taken it back");
      else permit.prolong(this.options.heldUntil(sentAt, reply.leaseMs));
    }
  }
}
