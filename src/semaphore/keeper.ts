import type { MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import {
  type AcquirePermitRequest,
  AcquirePermitResponse_Outcome as Outcome,
  type AcquirePermitResponseSchema,
  type AwaitPermitsRequest,
  type AwaitPermitsResponseSchema,
  type PermitClaim,
  type ReleasePermitRequest,
  type RenewPermitsRequest,
  type RenewPermitsResponseSchema,
} from "../gen/hedgerow/v1/claims_pb.ts";
import type { LeaderDirectory } from "../lock/directory.ts";
import type { ServedCall } from "../rpc/port.ts";
import { checkName } from "../store/limits.ts";
import type { SemaphoreStore } from "../store/ports.ts";
import { checkSemaphore, checkSemaphoreName, MAX_LIMIT } from "./check.ts";
import type { Applicant } from "./line.ts";
import { processOf, Reign, type ReignOptions } from "./reign.ts";
import type { Answer } from "./state.ts";

/** Of one request. */
export const MAX_CLAIMS = 1_000;
const MAX_GRANT_BYTES = 64;

export interface KeeperOptions extends Omit<ReignOptions, "store" | "notLeader"> {
  /** null: no log table is configured. */
  readonly store: SemaphoreStore | null;
  readonly directory: LeaderDirectory;
}

/** What the leader does for semaphores: the requests of all nodes, this one's included, come here. */
export class Keeper {
  #reign: Reign | null = null;

  constructor(private readonly options: KeeperOptions) {}

  /** This node has begun to lead, or leads no longer. */
  onLeaseChange(leads: boolean): void {
    if (leads && this.options.store !== null) this.#current();
    else this.#end();
  }

  memberJoined(address: string): void {
    this.#reign?.memberJoined(address);
  }

  async serveAcquire(
    request: AcquirePermitRequest,
  ): Promise<MessageInitShape<typeof AcquirePermitResponseSchema>> {
    const { clock } = this.options.runtime;
    const arrivedAt = clock.now();
    const { semaphore, ...claim } = checkClaim(request.claim);
    checkSemaphore(semaphore, request.limit);
    const { holder, incarnation } = checkHolder(request);
    const applicant: Applicant = {
      permit: { ...claim, holder, incarnation, detached: request.detached },
      limit: request.limit,
      waits: request.wait,
      since: arrivedAt - request.waitedMs,
    };
    const reign = this.#current();
    const { answer, at } = await reign.apply(semaphore, applicant);
    this.#check(reign);
    return { ...toWire(answer), leaseMs: this.#leaseMs(at - arrivedAt) };
  }

  async serveAwait(
    request: AwaitPermitsRequest,
    { signal }: Pick<ServedCall, "signal">,
  ): Promise<MessageInitShape<typeof AwaitPermitsResponseSchema>> {
    const { runtime, timing } = this.options;
    const arrivedAt = runtime.clock.now();
    if (request.grants.length > MAX_CLAIMS) throw malformed();
    const process = processOf(checkHolder(request));
    const reign = this.#current();
    const waitMs = Math.min(request.waitMs, timing.pollMs);
    const { acquired, unknown, at } = await reign.places.poll(
      process,
      request.grants,
      waitMs,
      signal,
    );
    this.#check(reign);
    return {
      acquired: [...acquired],
      unknown: [...unknown],
      leaseMs: this.#leaseMs(at - arrivedAt),
    };
  }

  async serveRelease(request: ReleasePermitRequest): Promise<Record<string, never>> {
    const { semaphore, ...permit } = checkClaim(request.claim);
    const reign = this.#current();
    await reign.release(semaphore, permit);
    this.#check(reign);
    return {};
  }

  async serveRenew(
    request: RenewPermitsRequest,
  ): Promise<MessageInitShape<typeof RenewPermitsResponseSchema>> {
    if (request.claims.length > MAX_CLAIMS) throw malformed();
    const claims = request.claims.map(checkClaim);
    const reign = this.#current();
    const held = await Promise.all(
      claims.map(({ semaphore, ...permit }) => reign.renew(semaphore, permit)),
    );
    this.#check(reign);
    return {
      lost: claims.filter((_, i) => held[i] === false),
      leaseMs: this.options.timing.leaseMs,
    };
  }

  /** What began under another token, or under none, is over. */
  #current(): Reign {
    const { leadership, store } = this.options;
    if (store === null) throw notSupported();
    const claim = leadership.claim();
    if (claim === null) throw this.#notLeader();
    if (this.#reign?.token !== claim.token) {
      this.#end();
      const notLeader = () => this.#notLeader();
      this.#reign = new Reign(claim.token, { ...this.options, store, notLeader });
    }
    return this.#reign as Reign;
  }

  #end(): void {
    this.#reign?.end();
    this.#reign = null;
  }

  /** After it has waited: what it was told counts only while the same reign goes on. */
  #check(reign: Reign): void {
    if (reign.claim() === null) throw this.#notLeader();
  }

  /** Counted from when the request was sent, which is no later than when it arrived. */
  #leaseMs(heardAfterMs: number): number {
    return this.options.timing.leaseMs + Math.floor(heardAfterMs);
  }

  #notLeader(): HedgerowError {
    const { directory, self } = this.options;
    const { leader } = directory;
    const elsewhere = leader !== null && leader.address !== self ? leader : undefined;
    const message = "semaphore: this node does not lead";
    return new HedgerowError("not_leader", message, { leader: elsewhere });
  }
}

export function notSupported(): HedgerowError {
  const message = "not supported: no log table is configured (--log-table)";
  return new HedgerowError("not_supported", message);
}

function toWire(answer: Answer): MessageInitShape<typeof AcquirePermitResponseSchema> {
  switch (answer.kind) {
    case "acquired":
      return { outcome: Outcome.ACQUIRED };
    case "waiting":
      return { outcome: Outcome.WAITING };
    case "full":
      return { outcome: Outcome.FULL };
    case "held":
      return { outcome: Outcome.HELD };
    case "other-limit":
      // The Go system's may be larger than ours, and than what a reply can hold.
      return { outcome: Outcome.OTHER_LIMIT, limit: Math.min(answer.limit, MAX_LIMIT) };
  }
}

interface Claim {
  readonly semaphore: string;
  readonly owner: string;
  readonly grant: string;
}

function checkClaim(claim: PermitClaim | undefined): Claim {
  if (claim === undefined || claim.grant === "" || claim.grant.length > MAX_GRANT_BYTES) {
    throw malformed();
  }
  const { semaphore, owner, grant } = claim;
  checkSemaphoreName(semaphore);
  checkName(owner, "owner");
  checkName(grant, "grant");
  return { semaphore, owner, grant };
}

function checkHolder(request: { readonly holder: string; readonly incarnation: bigint }) {
  checkName(request.holder, "holder");
  const incarnation = Number(request.incarnation);
  if (!Number.isSafeInteger(incarnation) || incarnation <= 0) throw malformed();
  return { holder: request.holder, incarnation };
}

function malformed(): HedgerowError {
  return new HedgerowError("invalid_argument", "semaphore: the request is malformed");
}
