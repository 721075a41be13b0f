import { HedgerowError, type LeaderHint, messageOf } from "../errors.ts";
import { PeerService } from "../gen/hedgerow/v1/peer_pb.ts";
import type { LeaderDirectory } from "../lock/directory.ts";
import { Lease } from "../lock/lease.ts";
import { Locks } from "../lock/named/locks.ts";
import { lockRowName } from "../lock/row-name.ts";
import { leaseTiming, withoutDeadline } from "../lock/timing.ts";
import { Log } from "../log/log.ts";
import type { Family } from "../observe/families.ts";
import { hintToWire } from "../rpc/hint.ts";
import type { PeerRoute } from "../rpc/port.ts";
import { Semaphores } from "../semaphore/semaphores.ts";
import type { LockRow, Store } from "../store/ports.ts";
import { isAddress } from "./address.ts";
import { firstContact } from "./first-contact.ts";
import { storeRoutes } from "./routes.ts";
import type { StoreSide, StoreSideOptions } from "./store-side.ts";

/** Bounds in milliseconds: of one announcement, of the check of readiness. */
const ANNOUNCE_TIMEOUT_MS = 500;
const READY_TIMEOUT_MS = 2_000;
/** Lock rows on behalf of doubt about the leader are read no more often than this. */
const DOUBT_INTERVAL_MS = 200;

export interface WithStoreOptions extends StoreSideOptions {
  readonly store: Store;
  readonly directory: LeaderDirectory;
}

/** A node that contends for the lease, and does by it what a leader does. */
export class WithStore implements StoreSide {
  readonly log: Log;
  readonly locks: Locks;
  readonly semaphores: Semaphores;
  readonly routes: readonly PeerRoute[];
  readonly #lease: Lease;
  #doubtedAt = Number.NEGATIVE_INFINITY;

  constructor(private readonly options: WithStoreOptions) {
    const { config, runtime, peers, gossip, store, directory, shutdown } = options;
    const { logger, address, leaseMs, protections } = config;
    this.#lease = new Lease({
      store: store.lock,
      runtime,
      logger,
      timing: protections ? leaseTiming(leaseMs) : withoutDeadline(leaseTiming(leaseMs)),
      rowName: lockRowName(config.lockName),
      writer: address,
      onChange: (leads, token, why) => this.#onLeaseChange(leads, token, why),
      onRow: (row) => this.#onRow(row),
      fenced: protections,
    });
    // Who hears that the lease is free, from whomever, contends at once.
    directory.onChange(() => {
      if (directory.newest?.released === true) this.#lease.kick();
    });
    const shared = {
      runtime,
      logger,
      peers,
      directory,
      leadership: this.#lease,
      self: address,
      onDoubt: () => this.doubt(),
      shutdown,
      protections,
    };
    this.log = new Log({
      ...shared,
      store: store.log,
      pollMs: config.gossip.syncIntervalMs,
      retention: config.retention,
    });
    this.locks = new Locks({ ...shared, store: store.lock });
    this.semaphores = new Semaphores({
      ...shared,
      leaseMs,
      store: store.semaphores,
      incarnation: () => gossip.incarnation,
      incarnationsAt: (at) =>
        gossip
          .members()
          .filter((member) => member.address === at)
          .map((member) => member.incarnation),
      meet: (at) => gossip.sync(at),
    });
    this.routes = storeRoutes(this);
  }

  get leadership(): Lease {
    return this.#lease;
  }

  /** A hint that names this node while it does not lead is of an earlier start at its address. */
  get leader(): LeaderHint | null {
    const { leader } = this.options.directory;
    const leads = this.#lease.claim() !== null;
    return leader?.address === this.options.config.address && !leads ? null : leader;
  }

  /** The lock's row tells of the others. */
  get hasJoined(): boolean {
    return true;
  }

  get iterations(): number {
    return this.#lease.iterations;
  }

  /** Looks at the lock's row, but not too often. */
  doubt(): void {
    const now = this.options.runtime.clock.now();
    if (now - this.#doubtedAt < DOUBT_INTERVAL_MS) return;
    this.#doubtedAt = now;
    this.#lease.kick();
  }

  firstContact(): Promise<void> {
    const { config, store, joining } = this.options;
    return firstContact({
      ...config,
      lock: store.lock,
      joining,
      onRow: (row) => this.#learnRow(row),
    });
  }

  start(): void {
    this.#lease.start();
  }

  async ready(): Promise<void> {
    const { store, gossip, config } = this.options;
    await store.ping({ timeoutMs: READY_TIMEOUT_MS });
    const { leader } = this;
    if (leader === null) throw new HedgerowError("no_leader", "no leader is known yet");
    const { address } = leader;
    const joined =
      address === config.address || gossip.members().some((m) => m.address === address);
    if (!joined) throw new HedgerowError("unavailable", `not joined yet: the leader is ${address}`);
  }

  async metrics(): Promise<Family[]> {
    const { storeMetrics } = await import("./metrics.ts");
    const { leader, log, locks, semaphores } = this;
    const isLeader = this.#lease.claim() !== null;
    return storeMetrics({ lease: this.#lease, isLeader, leader, log, locks, semaphores });
  }

  memberJoined(address: string): void {
    this.semaphores.memberJoined(address);
  }

  async resign(): Promise<void> {
    const unlocked = this.locks.stop();
    // Before the lease: nobody else may come to lead, to whom permits could be given back.
    await this.semaphores.stop();
    const released = await this.#lease.stop();
    if (released !== null) await this.#announce(released, true);
    await unlocked;
  }

  #onRow(row: LockRow): void {
    this.#learnRow(row);
    const { leader } = this.options.directory;
    if (leader === null || leader.address === this.options.config.address) return;
    // Others may have said who leads; the row's holder leads.
    this.options.gossip.rejoin(leader.address, leader.address === row.writer);
  }

  #learnRow(row: LockRow): void {
    // A row that names this node means nothing: only its own commit's reply tells it that it leads.
    if (row.writer === this.options.config.address || !isAddress(row.writer)) return;
    this.options.directory.learn({
      address: row.writer,
      token: row.token,
      released: row.ageMs === Infinity,
    });
  }

  #onLeaseChange(leads: boolean, token: number, why: string): void {
    const { logger, address } = this.options.config;
    if (leads) logger.info("leading", { token });
    else logger.info("no longer leading", { token, why });
    this.options.directory.learn({ address, token, released: !leads });
    if (leads) void this.#announce(token, false);
    this.semaphores.keeper.onLeaseChange(leads);
    this.options.onLeaderChange(leads);
  }

  /** Tells all members, some of which will hear it from gossip if they miss it now. */
  async #announce(token: number, released: boolean): Promise<void> {
    const { config, gossip, peers } = this.options;
    const leader = hintToWire({ address: config.address, token, released });
    const others = gossip.members().filter((m) => m.address !== config.address);
    await Promise.all(
      others.map((member) =>
        peers
          .unary(member.address, PeerService.method.announce, leader ? { leader } : {}, {
            timeoutMs: ANNOUNCE_TIMEOUT_MS,
          })
          .catch((error: unknown) =>
            config.logger.debug("announcement missed", {
              member: member.address,
              error: messageOf(error),
            }),
          ),
      ),
    );
  }
}
