import { HedgerowError } from "../../errors.ts";
import { ClaimService } from "../../gen/hedgerow/v1/claims_pb.ts";
import type { Logger } from "../../observe/logger.ts";
import type { Peers } from "../../rpc/port.ts";
import { Operation } from "../../runtime/operation.ts";
import type { CallOptions, Runtime } from "../../runtime/runtime.ts";
import type { LockStore } from "../../store/ports.ts";
import type { LeaderDirectory } from "../directory.ts";
import { Lease, type Leadership } from "../lease.ts";
import { namedRowName } from "../row-name.ts";
import { type LeaseTiming, leaseTiming, withoutDeadline } from "../timing.ts";
import { Acquisition, type Contending } from "./acquisition.ts";
import { HeldLock } from "./held-lock.ts";
import type { Place } from "./line.ts";
import { LineClient } from "./line-client.ts";
import { type Holder, Lines, TURN_MS } from "./lines.ts";
import { Turns } from "./turns.ts";

/** Milliseconds. */
const DEFAULT_LEASE_MS = 10_000;
const MIN_LEASE_MS = 1_000;
const MAX_LEASE_MS = 86_400_000;
const TRY_TIMEOUT_MS = 10_000;
/** How long a stopping node tries to tell who waits that its locks are free. */
const TELL_AT_STOP_MS = 300;

export interface LocksOptions {
  readonly store: LockStore;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  readonly leadership: Leadership;
  /** Address of this node. */
  readonly self: string;
  readonly onDoubt: () => void;
  /** false in the control binary: no deadlines, and the database checks no token. */
  readonly protections: boolean;
}

/** A lock of which at most one holder exists at a time. Nothing is done until it is taken. */
export interface NamedLock {
  readonly name: string;
  acquire(options?: CallOptions): Promise<HeldLock>;
  tryAcquire(options?: CallOptions): Promise<HeldLock>;
}

/** The locks beside the leader's, as one node has them: those that it holds and those that it waits for. */
export class Locks {
  /** Served to other nodes while this one leads. */
  readonly lines: Lines;
  readonly #client: LineClient;
  readonly #turns = new Turns();
  /** By name. */
  readonly #held = new Map<string, HeldLock>();
  readonly #acquisitions = new Map<string, Acquisition>();
  /** Leases whose callers do not wait for their ends. */
  readonly #ending = new Set<Promise<void>>();
  readonly #stopped = new AbortController();

  constructor(private readonly options: LocksOptions) {
    this.lines = new Lines({
      ...options,
      clock: options.runtime.clock,
      tell: (name, place, freed) => this.#tellTurn(name, place, freed),
      tellHolder: (name, holder, next) => this.#tellHolder(name, holder, next),
    });
    this.#client = new LineClient({ ...options, lines: this.lines });
  }

  /** How many this node holds, and how many of its callers wait for one. */
  get figures(): { readonly held: number; readonly waiting: number } {
    return { held: this.#held.size, waiting: this.#turns.waiting };
  }

  /** Throws `invalid_argument` or `too_large` for a name or a lease that no lock may have. */
  lock(
    name: string,
    { leaseMs = DEFAULT_LEASE_MS }: { leaseMs?: number | undefined } = {},
  ): NamedLock {
    namedRowName(name);
    if (!(leaseMs >= MIN_LEASE_MS && leaseMs <= MAX_LEASE_MS)) {
      const message = `lock: a lease of ${leaseMs} ms: give ${MIN_LEASE_MS} to ${MAX_LEASE_MS}`;
      throw new HedgerowError("invalid_argument", message);
    }
    const { protections } = this.options;
    const timing = protections ? leaseTiming(leaseMs) : withoutDeadline(leaseTiming(leaseMs));
    return {
      name,
      acquire: (options = {}) => this.#acquire(name, timing, options),
      tryAcquire: (options = {}) => this.#tryAcquire(name, timing, options),
    };
  }

  /** The leader says who is the first in the line of a lock that this node holds. */
  serveNext(request: {
    readonly name: string;
    readonly token: bigint;
    readonly contender: string;
    readonly member: string;
  }): Record<string, never> {
    const { name, token, contender, member } = request;
    const held = this.#held.get(name);
    if (held?.token === String(token)) held.next = { contender, member, since: 0 };
    return {};
  }

  /** Somebody says that it is this node's turn to take a lock. */
  serveTurn(request: { readonly contender: string; readonly token: bigint }): { waiting: boolean } {
    const acquisition = this.#acquisitions.get(request.contender);
    acquisition?.turn(Number(request.token));
    return { waiting: acquisition !== undefined };
  }

  /** Fails what waits with `stopped`, and gives up what is held, whose signals abort. Takes 5 s at most. */
  async stop(): Promise<void> {
    this.#stopped.abort(new HedgerowError("stopped", "the node is stopping"));
    const releases = [...this.#held.values()].map((held) => {
      held.lose("the node is stopping");
      return held.release();
    });
    await Promise.all([...releases, ...this.#ending]);
    await this.#client.close(TELL_AT_STOP_MS);
    this.lines.close();
  }

  async #acquire(name: string, timing: LeaseTiming, call: CallOptions): Promise<HeldLock> {
    const { runtime } = this.options;
    const { clock, random } = runtime;
    const since = clock.now();
    using operation = new Operation(clock, quoted(name), call, Infinity, this.#stopped.signal);
    operation.check();
    using _ = await this.#turns.take(name, operation);
    const contender = random.id();
    const acquisition = new Acquisition({
      ...this.options,
      clock,
      client: this.#client,
      name,
      contender,
      since,
      openLease: (contending) => this.#openLease(name, timing, contending),
    });
    this.#acquisitions.set(contender, acquisition);
    try {
      return await operation.race(acquisition.held);
    } catch (error) {
      this.#end(name, acquisition.abandon());
      throw withReason(error, acquisition.failure);
    } finally {
      this.#acquisitions.delete(contender);
    }
  }

  async #tryAcquire(name: string, timing: LeaseTiming, call: CallOptions): Promise<HeldLock> {
    const { clock } = this.options.runtime;
    const stopped = this.#stopped.signal;
    using operation = new Operation(clock, quoted(name), call, TRY_TIMEOUT_MS, stopped);
    operation.check();
    const { promise, resolve, reject } = Promise.withResolvers<HeldLock>();
    const lease = this.#openLease(name, timing, {
      onHeld: resolve,
      onMiss: (error) => reject(error ?? taken(name)),
    });
    lease.start();
    try {
      return await operation.race(promise);
    } catch (error) {
      this.#end(name, lease.stop());
      throw error;
    }
  }

  #openLease(name: string, timing: LeaseTiming, { onHeld, onMiss }: Contending): Lease {
    const { store, runtime, logger, self, protections } = this.options;
    let held: HeldLock | null = null;
    const lease = new Lease({
      store,
      runtime,
      logger,
      timing,
      rowName: name,
      writer: self,
      fenced: protections,
      once: true,
      onMiss,
      onChange: (holds, token, why) => {
        if (holds) {
          const gained = new HeldLock(name, token, lease, (free) => {
            if (free) this.#handOver(name, token, gained.next);
          });
          held = gained;
          this.#held.set(name, gained);
          onHeld(gained);
        } else if (held !== null) {
          if (this.#held.get(name) === held) this.#held.delete(name);
          held.lose(why);
        }
      },
    });
    return lease;
  }

  /** Awaits the end of a lease in the background; if it was held after all, the next may have it. */
  #end(name: string, stopping: Promise<number | null>): void {
    const ending = stopping.then((token) => {
      this.#ending.delete(ending);
      if (token !== null) this.#handOver(name, token, null);
    });
    this.#ending.add(ending);
  }

  /** The lock is free: tells the next itself if it knows of one, and the leader in any case. */
  #handOver(name: string, token: number, next: Place | null): void {
    if (next !== null) {
      const gone = () => void this.#client.leave(name, next.contender, 0);
      void this.#tellTurn(name, next, token).then((waits) => waits || gone(), gone);
    }
    void this.#client.released(name, token, next?.contender ?? "");
  }

  async #tellHolder(name: string, { member, token }: Holder, next: Place): Promise<void> {
    const { contender, member: nextMember } = next;
    const request = { name, token: BigInt(token), contender, member: nextMember };
    if (member === this.options.self) return void this.serveNext(request);
    const { lockNext } = ClaimService.method;
    await this.options.peers.unary(member, lockNext, request, { timeoutMs: TURN_MS });
  }

  async #tellTurn(name: string, { member, contender }: Place, freed: number): Promise<boolean> {
    const request = { name, contender, token: BigInt(freed) };
    if (member === this.options.self) return this.serveTurn(request).waiting;
    const { lockTurn } = ClaimService.method;
    const limits = { timeoutMs: TURN_MS };
    return (await this.options.peers.unary(member, lockTurn, request, limits)).waiting;
  }
}

function quoted(name: string): string {
  return `lock ${JSON.stringify(name)}`;
}

function taken(name: string): HedgerowError {
  return new HedgerowError("taken", `${quoted(name)} is held: wait for it, or try again later`);
}

/** A time-out says what stood in the way. */
function withReason(error: unknown, failure: HedgerowError | null): unknown {
  if (!HedgerowError.is(error, "timeout")) return error;
  const reason = failure?.message ?? "others hold it";
  return new HedgerowError(error.code, `${error.message} (${reason})`, { cause: failure ?? error });
}
