import { HedgerowError } from "../errors.ts";
import {
  AcquirePermitResponse_Outcome as Outcome,
  ClaimService,
} from "../gen/hedgerow/v1/claims_pb.ts";
import type { Logger } from "../observe/logger.ts";
import { SeldomWarner } from "../observe/seldom.ts";
import { Operation, sleep } from "../runtime/operation.ts";
import type { CallOptions, Random } from "../runtime/runtime.ts";
import { HeldPermit, type PermitClaim } from "./held-permit.ts";
import { Renewals } from "./renewals.ts";
import { alreadyHeld, type Slot, Slots } from "./slots.ts";
import { type HolderParts, Turns } from "./turns.ts";

const { acquirePermit, releasePermit } = ClaimService.method;

/** Of a tryAcquire, of one attempt to reach the leader, of a release's caller and of a node's stop. */
const TRY_TIMEOUT_MS = 10_000;
const ATTEMPT_TIMEOUT_MS = 3_000;
const RELEASE_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 1_000;

/** What somebody wants to hold. */
export interface Wanted {
  readonly semaphore: string;
  readonly limit: number;
  readonly owner: string;
  /** The work goes on when this process ends. */
  readonly detached: boolean;
  /** In the line, if nothing is free. */
  readonly waits: boolean;
}

export interface HolderOptions extends HolderParts {
  readonly logger: Logger;
  readonly random: Random;
}

/** The permits of one node: takes them, keeps them renewed, gives them back. */
export class Holder {
  readonly #slots = new Slots();
  readonly #turns: Turns;
  readonly #renewals: Renewals;
  readonly #closing = new AbortController();

  constructor(private readonly options: HolderOptions) {
    this.#turns = new Turns(options);
    this.#renewals = new Renewals(options, new SeldomWarner(options.clock, options.logger));
  }

  get figures(): { readonly held: number; readonly waiting: number } {
    const slots = [...this.#slots].filter(({ leaving }) => leaving === null);
    const held = slots.filter(({ permit }) => permit?.held === true).length;
    const waiting = slots.filter(({ permit }) => permit === null).length;
    return { held, waiting };
  }

  async acquire(wanted: Wanted, call: CallOptions): Promise<HeldPermit> {
    const { clock, random } = this.options;
    const { semaphore, owner, waits } = wanted;
    const what = `semaphore ${JSON.stringify(semaphore)}`;
    const defaultMs = waits ? Infinity : TRY_TIMEOUT_MS;
    using operation = new Operation(clock, what, call, defaultMs, this.#closing.signal);
    operation.check();
    const slot = await this.#takeSlot(wanted, operation);
    const claim = { semaphore, owner, grant: random.id() };
    try {
      const deadline = await this.#askFor(wanted, claim, slot, operation);
      const permit = new HeldPermit(claim, deadline, {
        clock,
        detached: wanted.detached,
        onLost: () => this.#onLost(slot, permit),
        giveBack: () => this.#giveBack(slot, permit.claim),
      });
      slot.permit = permit;
      this.#renewals.add(permit);
      return permit;
    } catch (error) {
      this.#turns.forget(claim.grant);
      if (!slot.asked || tookNothing(error)) this.#slots.delete(semaphore, owner, slot);
      else void this.#giveBack(slot, claim);
      throw error;
    }
  }

  /** Others take this process for a later one from now on. */
  incarnationChanged(): void {
    for (const { permit } of this.#slots) permit?.lose("this node's incarnation has changed");
  }

  /** Ends what waits with `stopped`, and gives permits back, except for detached ones. Takes 1 s at most. */
  async stop(): Promise<void> {
    this.#closing.abort(new HedgerowError("stopped", "the node is stopping"));
    const { clock } = this.options;
    for (const { permit } of this.#slots) {
      permit?.lose("the node is stopping");
      if (permit?.detached === false) void permit.release();
    }
    // Those who were told have this moment to give back what they hold for others.
    await sleep(clock, 0);
    const leaving = [...this.#slots].map((slot) => slot.leaving);
    await this.#within(STOP_TIMEOUT_MS, Promise.all(leaving));
  }

  async #takeSlot({ semaphore, owner }: Wanted, operation: Operation): Promise<Slot> {
    for (;;) {
      const taken = this.#slots.take(semaphore, owner);
      if (!(taken instanceof Promise)) return taken;
      await operation.race(taken);
    }
  }

  /** Until when it is held, by this node's clock. */
  async #askFor(
    wanted: Wanted,
    claim: PermitClaim,
    slot: Slot,
    operation: Operation,
  ): Promise<number> {
    const { clock, link, keeper, self } = this.options;
    const startedAt = clock.now();
    for (;;) {
      operation.check();
      const incarnation = this.options.incarnation();
      const { reply, sentAt } = await link.ask(operation, {
        method: acquirePermit,
        request: () => {
          slot.asked = true;
          return {
            claim,
            limit: wanted.limit,
            holder: self,
            incarnation: BigInt(incarnation),
            wait: wanted.waits,
            waitedMs: Math.floor(clock.now() - startedAt),
            detached: wanted.detached,
          };
        },
        local: (request) => keeper.serveAcquire(request),
        attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
      });
      let deadline: number | null = null;
      if (reply.outcome === Outcome.ACQUIRED) {
        deadline = this.options.heldUntil(sentAt, reply.leaseMs);
      } else if (reply.outcome === Outcome.WAITING) {
        const turn = operation.race(this.#turns.wait(claim.grant));
        deadline = await turn.catch((error: unknown) => {
          throw withReason(error, wanted);
        });
      } else {
        throw refused(wanted, reply.outcome, reply.limit);
      }
      // What came too late, or to an earlier incarnation, is asked for again under the same grant.
      const current = incarnation === this.options.incarnation();
      if (deadline !== null && deadline > clock.now() && current) return deadline;
    }
  }

  #onLost(slot: Slot, permit: HeldPermit): void {
    const { clock, timing, logger, shutdown } = this.options;
    const { semaphore, owner } = permit;
    this.#renewals.delete(permit);
    logger.warn("permit lost", { semaphore, owner });
    const forget = () => {
      if (slot.leaving === null) this.#slots.delete(semaphore, owner, slot);
    };
    // By then the leader has taken it back, if nobody has released it.
    sleep(clock, timing.revokeAfterMs, shutdown).then(forget, forget);
  }

  /** Resolves once the leader knows, or after a bound: then it is told as soon as it can be. */
  #giveBack(slot: Slot, claim: PermitClaim): Promise<void> {
    if (slot.permit !== null) this.#renewals.delete(slot.permit);
    slot.leaving ??= this.#tellLeader(claim).finally(() =>
      this.#slots.delete(claim.semaphore, claim.owner, slot),
    );
    return this.#within(RELEASE_TIMEOUT_MS, slot.leaving);
  }

  /** Tries for as long as the leader may not have taken the permit back by itself. Never rejects. */
  async #tellLeader(claim: PermitClaim): Promise<void> {
    const { clock, timing, link, keeper, logger, shutdown } = this.options;
    using operation = new Operation(clock, "release", {}, timing.revokeAfterMs, shutdown);
    try {
      await link.ask(operation, {
        method: releasePermit,
        request: () => ({ claim }),
        local: (request) => keeper.serveRelease(request),
        attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
      });
    } catch (error) {
      const { code, message } = HedgerowError.from(error);
      const { semaphore, owner } = claim;
      logger.warn("permit not given back: it ends with its lease", {
        semaphore,
        owner,
        code,
        error: message,
      });
    }
  }

  async #within(boundMs: number, work: Promise<unknown>): Promise<void> {
    const inTime = new AbortController();
    const overdue = sleep(this.options.clock, boundMs, inTime.signal).catch(() => {}); // in time
    await Promise.race([work, overdue]);
    inTime.abort();
  }
}

/** Whether the answer tells that the grant stands nowhere. */
function tookNothing(error: unknown): boolean {
  return HedgerowError.is(error, "taken", "already_held", "other_limit");
}

/** A time-out says what stood in the way. */
function withReason(error: unknown, { limit }: Wanted): unknown {
  if (!HedgerowError.is(error, "timeout")) return error;
  const reason = limit === 1 ? "the one permit is held" : `all ${limit} permits are held`;
  return new HedgerowError(error.code, `${error.message} (${reason})`, { cause: error });
}

function refused({ semaphore, owner }: Wanted, outcome: Outcome, limit: number): HedgerowError {
  switch (outcome) {
    case Outcome.FULL:
      return new HedgerowError("taken", "semaphore full: wait for a permit, or try again later");
    case Outcome.HELD:
      return alreadyHeld(semaphore, owner);
    case Outcome.OTHER_LIMIT:
      return new HedgerowError(
        "other_limit",
        `semaphore already exists with a different limit: ${semaphore} has ${limit}: use that, or another name`,
      );
    default:
      return new HedgerowError("outcome_unknown", "semaphore: the leader's answer cannot be read");
  }
}
