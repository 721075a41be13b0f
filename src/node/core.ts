import { HedgerowError, type LeaderHint, messageOf } from "../errors.ts";
import { PeerService } from "../gen/hedgerow/v1/peer_pb.ts";
import { LeaderDirectory } from "../lock/directory.ts";
import { Lease } from "../lock/lease.ts";
import { Locks } from "../lock/named/locks.ts";
import { lockRowName } from "../lock/row-name.ts";
import { leaseTiming, withoutDeadline } from "../lock/timing.ts";
import { Log } from "../log/log.ts";
import { Gossip } from "../members/gossip.ts";
import { Liveness, type MemberRecord, PeerState } from "../members/member.ts";
import { Observers } from "../members/observers.ts";
import type { TableChange } from "../members/table.ts";
import { Messaging } from "../messaging/messaging.ts";
import type { Family } from "../observe/families.ts";
import { hintToWire } from "../rpc/hint.ts";
import type { PeerRoute, Peers } from "../rpc/port.ts";
import { Operation } from "../runtime/operation.ts";
import type { CallOptions, Runtime } from "../runtime/runtime.ts";
import { Semaphores } from "../semaphore/semaphores.ts";
import type { LockRow, Store } from "../store/ports.ts";
import { isAddress } from "./address.ts";
import type * as api from "./api.ts";
import type { NodeConfig } from "./config.ts";
import { firstContact } from "./first-contact.ts";
import { memberInfo, peerState } from "./member-info.ts";
import { peerRoutes } from "./routes.ts";

/** Bounds in milliseconds: of one announcement, of the check of readiness. */
const ANNOUNCE_TIMEOUT_MS = 500;
const READY_TIMEOUT_MS = 2_000;
const CHANGE_STATE_TIMEOUT_MS = 10_000;
/** Lock rows on behalf of doubt about the leader are read no more often than this. */
const DOUBT_INTERVAL_MS = 200;

/** What stands around a node: the real machine in hedgerow.ts, the simulated world in tests. */
export interface Surroundings {
  readonly runtime: Runtime;
  readonly store: Store;
  readonly peers: Peers;
}

/** The parts of a node, put together; everything but sockets and files. */
export class Core {
  readonly routes: readonly PeerRoute[];
  readonly log: Log;
  readonly messaging: Messaging;
  readonly locks: Locks;
  readonly semaphores: Semaphores;
  readonly #lease: Lease;
  readonly #directory = new LeaderDirectory();
  readonly #gossip: Gossip;
  readonly #observers: Observers;
  readonly #shutdown = new AbortController();
  #doubtedAt = Number.NEGATIVE_INFINITY;
  #resigning: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  #running = false;

  constructor(
    readonly config: NodeConfig,
    private readonly surroundings: Surroundings,
  ) {
    const { runtime, store, peers } = surroundings;
    const { logger, address, label, leaseMs } = config;
    const directory = this.#directory;
    this.#observers = new Observers(runtime.clock, (error) =>
      this.#callBackFailed("observer", error),
    );
    this.#lease = new Lease({
      store: store.lock,
      runtime,
      logger,
      timing: config.protections ? leaseTiming(leaseMs) : withoutDeadline(leaseTiming(leaseMs)),
      rowName: lockRowName(config.lockName),
      writer: address,
      onChange: (leads, token, why) => this.#onLeaseChange(leads, token, why),
      onRow: (row) => this.#onRow(row),
      fenced: config.protections,
    });
    // Who hears that the lease is free, from whomever, contends at once.
    directory.onChange(() => {
      if (directory.newest?.released === true) this.#lease.kick();
    });
    this.#gossip = new Gossip({
      runtime,
      logger,
      peers,
      directory,
      timing: config.gossip,
      cluster: { label, leaseMs },
      self: this.#ownRecord(),
      onChange: (change) => this.#onMembersChange(change),
      onFatal: (error) => this.#onFatal(error),
    });
    const shared = {
      runtime,
      peers,
      directory,
      leadership: this.#lease,
      self: address,
      onDoubt: () => this.#doubt(),
      shutdown: this.#shutdown.signal,
    };
    this.log = new Log({
      ...shared,
      logger,
      store: store.log,
      pollMs: config.gossip.syncIntervalMs,
      retention: config.retention,
    });
    this.messaging = new Messaging({
      ...shared,
      members: () => this.#gossip.members().map((member) => member.address),
      onSend: config.onSend,
      onBroadcast: config.onBroadcast,
    });
    this.locks = new Locks({
      ...shared,
      logger,
      store: store.lock,
      protections: config.protections,
    });
    this.semaphores = new Semaphores({
      ...shared,
      logger,
      leaseMs,
      store: store.semaphores,
      protections: config.protections,
      incarnation: () => this.#gossip.incarnation,
      incarnationsAt: (at) =>
        this.#gossip
          .members()
          .filter((member) => member.address === at)
          .map((member) => member.incarnation),
      meet: (at) => this.#gossip.sync(at),
    });
    this.routes = peerRoutes({
      directory,
      gossip: this.#gossip,
      locks: this.locks,
      log: this.log,
      messaging: this.messaging,
      semaphores: this.semaphores,
    });
  }

  get isLeader(): boolean {
    return this.#lease.claim() !== null;
  }

  get leader(): string | null {
    return this.#knownLeader?.address ?? null;
  }

  get token(): string | null {
    const leader = this.#knownLeader;
    return leader === null ? null : String(leader.token);
  }

  /** A hint that names this node while it does not lead is of an earlier start at its address. */
  get #knownLeader(): LeaderHint | null {
    const { leader } = this.#directory;
    return leader?.address === this.config.address && !this.isLeader ? null : leader;
  }

  /** How often the loop of the lock went round. */
  get iterations(): number {
    return this.#lease.iterations;
  }

  get running(): boolean {
    return this.#running;
  }

  members(): api.MemberInfo[] {
    return this.#gossip.members().map(memberInfo);
  }

  observe(observer: api.MembersObserver, options: api.ObserveOptions = {}): () => void {
    return this.#observers.observe(
      (members) => observer(members.map(memberInfo)),
      options.participantsOnly ?? false,
    );
  }

  /** Read from the parts, which count in plain numbers. */
  async metrics(): Promise<Family[]> {
    const { partsMetrics } = await import("./metrics.ts");
    return partsMetrics({
      label: this.config.label,
      lease: this.#lease,
      isLeader: this.isLeader,
      leader: this.#knownLeader,
      gossip: this.#gossip,
      observers: this.#observers,
      locks: this.locks,
      semaphores: this.semaphores,
    });
  }

  async changeState(state: api.PeerStateName, options: CallOptions = {}): Promise<void> {
    const { clock } = this.surroundings.runtime;
    const { signal } = this.#shutdown;
    using operation = new Operation(clock, "changeState", options, CHANGE_STATE_TIMEOUT_MS, signal);
    operation.check();
    this.#gossip.become(peerState(state));
    await operation.race(this.#gossip.told());
  }

  /**
   * Meets the cluster before it contends: a node with another lease than the cluster's must not touch the
   * lock. Throws `wrong_cluster` then; that nobody answers is no error.
   */
  async start(): Promise<void> {
    await firstContact({
      ...this.config,
      lock: this.surroundings.store.lock,
      gossip: this.#gossip,
      onRow: (row) => this.#learnRow(row),
    });
    this.#lease.start();
    this.#gossip.start();
    if (this.config.state === "participant") this.#gossip.become(PeerState.PARTICIPANT);
    this.#running = true;
  }

  async ready(): Promise<void> {
    if (!this.#running || this.#stopping !== null)
      throw new HedgerowError("stopped", "the node is stopping");
    await this.surroundings.store.ping({ timeoutMs: READY_TIMEOUT_MS });
    const { leader } = this;
    if (leader === null) throw new HedgerowError("no_leader", "no leader is known yet");
    const joined = this.isLeader || this.#gossip.members().some((m) => m.address === leader);
    if (!joined) throw new HedgerowError("unavailable", `not joined yet: the leader is ${leader}`);
  }

  /**
   * Idempotent. Order: the lease first, so that others can lead while the rest winds down; then good-bye to the
   * members; then what still waits fails with `stopped`.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** The first step of a stop alone: gives permits, lease and locks up and tells the others, while calls go on. */
  resign(): Promise<void> {
    this.#resigning ??= this.#resign();
    return this.#resigning;
  }

  async #resign(): Promise<void> {
    if (this.#running && this.#gossip.state === PeerState.PARTICIPANT) {
      this.#gossip.become(PeerState.TERMINATING);
    }
    this.#running = false;
    const unlocked = this.locks.stop();
    // Before the lease: nobody else may come to lead, to whom permits could be given back.
    await this.semaphores.stop();
    const released = await this.#lease.stop();
    if (released !== null) await this.#announce(released, true);
    await unlocked;
  }

  async #stop(): Promise<void> {
    await this.resign();
    await this.#gossip.leave();
    this.#shutdown.abort(new HedgerowError("stopped", "the node is stopping"));
  }

  #onRow(row: LockRow): void {
    this.#learnRow(row);
    const { leader } = this.#directory;
    if (leader !== null && leader.address !== this.config.address)
      this.#gossip.rejoin(leader.address);
  }

  #learnRow(row: LockRow): void {
    // A row that names this node means nothing: only its own commit's reply tells it that it leads.
    if (row.writer === this.config.address || !isAddress(row.writer)) return;
    this.#directory.learn({
      address: row.writer,
      token: row.token,
      released: row.ageMs === Infinity,
    });
  }

  #onLeaseChange(leads: boolean, token: number, why: string): void {
    const { logger } = this.config;
    if (leads) logger.info("leading", { token });
    else logger.info("no longer leading", { token, why });
    this.#directory.learn({ address: this.config.address, token, released: !leads });
    if (leads) void this.#announce(token, false);
    this.semaphores.keeper.onLeaseChange(leads);
    this.#callBack("onLeaderChange", () => this.config.onLeaderChange?.(leads));
  }

  /** Tells all members, some of which will hear it from gossip if they miss it now. */
  async #announce(token: number, released: boolean): Promise<void> {
    const leader = hintToWire({ address: this.config.address, token, released });
    const others = this.#gossip.members().filter((m) => m.address !== this.config.address);
    await Promise.all(
      others.map((member) =>
        this.surroundings.peers
          .unary(member.address, PeerService.method.announce, leader ? { leader } : {}, {
            timeoutMs: ANNOUNCE_TIMEOUT_MS,
          })
          .catch((error: unknown) =>
            this.config.logger.debug("announcement missed", {
              member: member.address,
              error: messageOf(error),
            }),
          ),
      ),
    );
  }

  #onMembersChange(change: TableChange): void {
    const joined = change.joined.map(memberInfo);
    const left = change.left.map(memberInfo);
    for (const { address } of joined) {
      this.config.logger.info("member joined", { member: address });
      this.semaphores.memberJoined(address);
    }
    for (const member of left) this.config.logger.info("member left", { member: member.address });
    this.#observers.notify(this.#gossip.members());
    if (joined.length + left.length === 0) return;
    this.#callBack("onMembersChanged", () => this.config.onMembersChanged?.({ joined, left }));
  }

  #onFatal(error: HedgerowError): void {
    if (this.#stopping !== null) return;
    this.config.logger.error("cannot go on", { error: error.message });
    void this.stop().then(() => this.#callBack("onFatal", () => this.config.onFatal?.(error)));
  }

  /** Somebody could not reach the leader: look at the lock's row, but not too often. */
  #doubt(): void {
    const now = this.surroundings.runtime.clock.now();
    if (now - this.#doubtedAt < DOUBT_INTERVAL_MS) return;
    this.#doubtedAt = now;
    this.#lease.kick();
  }

  /** Runs a callback of the application, which may throw or hang without effect on the node. */
  #callBack(name: string, run: () => unknown): void {
    void (async () => run())().catch((error: unknown) => this.#callBackFailed(name, error));
  }

  #callBackFailed(name: string, error: unknown): void {
    this.config.logger.error("callback failed", { name, error: messageOf(error) });
  }

  #ownRecord(): MemberRecord {
    const { name, address, incarnation } = this.config;
    return {
      name,
      address,
      incarnation,
      version: 0,
      liveness: Liveness.ALIVE,
      state: PeerState.VIEWER,
    };
  }
}
