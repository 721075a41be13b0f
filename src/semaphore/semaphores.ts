import type { LeaderDirectory } from "../lock/directory.ts";
import type { Leadership } from "../lock/lease.ts";
import type { Logger } from "../observe/logger.ts";
import type { Peers } from "../rpc/port.ts";
import type { CallOptions, Runtime } from "../runtime/runtime.ts";
import { checkName } from "../store/limits.ts";
import type { SemaphoreStore } from "../store/ports.ts";
import { checkSemaphore } from "./check.ts";
import type { HeldPermit } from "./held-permit.ts";
import { Holder } from "./holder.ts";
import { Keeper, notSupported } from "./keeper.ts";
import { LeaderLink } from "./leader-link.ts";
import { heldUntil, permitTiming } from "./timing.ts";

export interface SemaphoresOptions {
  /** null: no log table is configured. */
  readonly store: SemaphoreStore | null;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  readonly leadership: Leadership;
  /** Address of this node. */
  readonly self: string;
  /** Of all nodes, in milliseconds. */
  readonly leaseMs: number;
  /** This node's, which may rise. */
  readonly incarnation: () => number;
  /** Incarnations of the members at an address. */
  readonly incarnationsAt: (address: string) => readonly number[];
  /** As in reign.ts. */
  readonly meet: (address: string) => Promise<void>;
  readonly onDoubt: () => void;
  readonly shutdown: AbortSignal;
  /** false in the control of the tests: permits are held for ever. */
  readonly protections: boolean;
}

export interface PermitOptions extends CallOptions {
  readonly owner?: string | undefined;
  readonly detached?: boolean | undefined;
}

/** Semaphores: what this node holds, and what it keeps for all while it leads. */
export class Semaphores {
  /** Serves the requests of all nodes while this one leads. */
  readonly keeper: Keeper;
  readonly #holder: Holder;

  constructor(private readonly options: SemaphoresOptions) {
    const { clock, random } = options.runtime;
    const timing = permitTiming(options.leaseMs);
    this.keeper = new Keeper({ ...options, timing });
    this.#holder = new Holder({
      ...options,
      clock,
      random,
      timing,
      heldUntil: options.protections ? heldUntil : () => Infinity,
      keeper: this.keeper,
      link: new LeaderLink(options),
    });
  }

  /** Throws `invalid_argument` or `too_large` for a name or a limit that no semaphore may have. */
  semaphore(name: string, limit: number): NamedSemaphore {
    checkSemaphore(name, limit);
    return new NamedSemaphore(name, limit, (waits, options) =>
      this.#acquire(name, limit, waits, options),
    );
  }

  /** How many permits this node holds, and how many of its callers wait for one. */
  get figures(): { readonly held: number; readonly waiting: number } {
    return this.#holder.figures;
  }

  /** Another process than before runs at a member's address; it may be this node, which took another name. */
  memberJoined(address: string): void {
    if (address === this.options.self) this.#holder.incarnationChanged();
    this.keeper.memberJoined(address);
  }

  /** Gives back what this node holds. Takes 1 s at most. */
  stop(): Promise<void> {
    return this.#holder.stop();
  }

  async #acquire(
    semaphore: string,
    limit: number,
    waits: boolean,
    { owner = this.options.self, detached = false, ...call }: PermitOptions,
  ): Promise<HeldPermit> {
    if (this.options.store === null) throw notSupported();
    checkName(owner, "owner");
    return await this.#holder.acquire({ semaphore, limit, owner, detached, waits }, call);
  }
}

/** A semaphore as it is used: nothing but its name and limit, so that it never goes stale. */
export class NamedSemaphore {
  constructor(
    readonly name: string,
    readonly limit: number,
    private readonly take: (waits: boolean, options: PermitOptions) => Promise<HeldPermit>,
  ) {}

  acquire(options: PermitOptions = {}): Promise<HeldPermit> {
    return this.take(true, options);
  }

  tryAcquire(options: PermitOptions = {}): Promise<HeldPermit> {
    return this.take(false, options);
  }
}
