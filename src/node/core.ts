import { HedgerowError, messageOf } from "../errors.ts";
import { LeaderDirectory } from "../lock/directory.ts";
import { Gossip } from "../members/gossip.ts";
import { Liveness, type MemberRecord, PeerState } from "../members/member.ts";
import { Observers } from "../members/observers.ts";
import type { TableChange } from "../members/changes.ts";
import { Messaging } from "../messaging/messaging.ts";
import { Streams } from "../messaging/streams.ts";
import type { Family } from "../observe/families.ts";
import type { PeerRoute, Peers, StreamRoute } from "../rpc/port.ts";
import { Operation } from "../runtime/operation.ts";
import type { CallOptions, Runtime } from "../runtime/runtime.ts";
import type { ScratchFiles } from "../runtime/scratch.ts";
import { Spill } from "../spill/spill.ts";
import type { Store } from "../store/ports.ts";
import type * as api from "./api.ts";
import type { NodeConfig } from "./config.ts";
import { Joining } from "./joining.ts";
import { streamLimitsOf } from "./limits.ts";
import { memberInfo, peerState, stateName } from "./member-info.ts";
import type { MemberSharder } from "./member-sharder.ts";
import { peerRoutes } from "./routes.ts";
import type { StoreSide } from "./store-side.ts";
import { WithStore } from "./with-store.ts";
import { NoLeaders, WithoutStore } from "./without-store.ts";

/** Bound in milliseconds. */
const CHANGE_STATE_TIMEOUT_MS = 10_000;

/** What stands around a node: the real machine in hedgerow.ts, the simulated world in tests. */
export interface Surroundings {
  readonly runtime: Runtime;
  /** null: membership, broadcast and sharders work, what needs a leader does not. */
  readonly store: Store | null;
  readonly peers: Peers;
  /** Files for the spill store. Absent: it has no disk. */
  readonly scratch?: ScratchFiles | undefined;
}

/** The parts of a node, put together; everything but sockets and files. */
export class Core {
  readonly routes: readonly PeerRoute[];
  readonly streamRoutes: readonly StreamRoute[];
  readonly log: StoreSide["log"];
  readonly messaging: Messaging;
  readonly streams: Streams;
  readonly locks: StoreSide["locks"];
  readonly semaphores: StoreSide["semaphores"];
  readonly spill: Spill;
  readonly #stored: StoreSide;
  readonly #gossip: Gossip;
  readonly #joining: Joining;
  readonly #observers: Observers;
  readonly #shutdown = new AbortController();
  #sharder: MemberSharder | null = null;
  #resigning: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  #running = false;

  constructor(
    readonly config: NodeConfig,
    private readonly surroundings: Surroundings,
  ) {
    const { runtime, store, peers } = surroundings;
    const { logger, address, label, leaseMs } = config;
    const directory = store === null ? new NoLeaders() : new LeaderDirectory();
    const onFatal = (error: HedgerowError) => this.#onFatal(error);
    this.#observers = new Observers(runtime.clock, (error) =>
      this.#callBackFailed("observer", error),
    );
    this.#gossip = new Gossip({
      runtime,
      logger,
      peers,
      directory,
      timing: config.gossip,
      cluster: { label, leaseMs },
      self: this.#ownRecord(),
      onChange: (change) => this.#onMembersChange(change),
      onNotice: (address, body, stamp) => this.spill.heardRoom(address, body, stamp),
      onFatal,
    });
    const gossip = this.#gossip;
    const onAnswer = () => this.#participate();
    this.#joining = new Joining({ runtime, logger, address, gossip, onAnswer, onFatal });
    const shutdown = this.#shutdown.signal;
    const stored =
      store === null
        ? new WithoutStore(this.#joining)
        : new WithStore({
            config,
            runtime,
            peers,
            store,
            directory,
            gossip,
            joining: this.#joining,
            shutdown,
            onLeaderChange: (leads) => {
              if (!leads) this.streams.leadershipLost();
              this.#callBack("onLeaderChange", () => config.onLeaderChange?.(leads));
            },
          });
    this.#stored = stored;
    this.log = stored.log;
    this.locks = stored.locks;
    this.semaphores = stored.semaphores;
    const shared = {
      runtime,
      peers,
      directory,
      leadership: stored.leadership,
      self: address,
      onDoubt: () => stored.doubt(),
      shutdown,
    };
    this.messaging = new Messaging({
      ...shared,
      members: () => this.#gossip.members().map((member) => member.address),
      onSend: config.onSend,
      onBroadcast: config.onBroadcast,
      maxMessageBytes: config.limits?.maxMessageBytes,
    });
    this.streams = new Streams({
      ...shared,
      logger,
      members: () => this.#gossip.members().map((member) => member.address),
      onStream: config.onStream,
      onStreamBroadcast: config.onStreamBroadcast,
      limits: config.limits && streamLimitsOf(config.limits),
    });
    this.spill = new Spill({
      clock: runtime.clock,
      logger,
      memoryBytes: config.spill.memoryBytes,
      diskBytes: config.spill.diskBytes,
      compression: config.spill.compression,
      files: surroundings.scratch ?? null,
      cluster: {
        peers,
        self: address,
        incarnation: BigInt(config.incarnation),
        others: () => this.#spillNodes(),
        notices: gossip,
      },
    });
    const parts = { directory, gossip, messaging: this.messaging };
    this.routes = [...peerRoutes(parts), ...stored.routes, ...this.spill.holder.routes];
    this.streamRoutes = [...this.streams.routes, ...this.spill.holder.streamRoutes];
    if (config.sharder !== undefined) this.#sharder = this.#makeSharder(); // which checks its options
  }

  get isLeader(): boolean {
    return this.#stored.leadership.claim() !== null;
  }

  get leader(): string | null {
    return this.#stored.leader?.address ?? null;
  }

  get token(): string | null {
    const { leader } = this.#stored;
    return leader === null ? null : String(leader.token);
  }

  /** How often the loop of the lock went round. */
  get iterations(): number {
    return this.#stored.iterations;
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
    const { memberSideMetrics } = await import("./metrics.ts");
    const members = memberSideMetrics({
      gossip: this.#gossip,
      observers: this.#observers,
      spill: this.spill,
      label: this.config.label,
    });
    return [...members, ...(await this.#stored.metrics())];
  }

  get state(): api.PeerStateName {
    return stateName(this.#gossip.state);
  }

  get sharder(): api.MemberSharder {
    this.#sharder ??= this.#makeSharder();
    return this.#sharder;
  }

  /** See HedgerowNode.join. */
  join(addresses: readonly string[]): Promise<void> {
    return this.#joining.join(addresses);
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
   * lock. Throws `wrong_cluster` then, and `stopped` after a stop; that nobody answers is no error.
   */
  async start(): Promise<void> {
    this.spill.start(); // so that whom it meets hears of its room
    await this.#stored.firstContact();
    await this.#joining.join(this.config.join);
    if (this.#resigning !== null) {
      throw new HedgerowError("stopped", "the node was stopped while it started");
    }
    this.#stored.start();
    this.#gossip.start();
    this.#running = true;
    this.#participate();
  }

  async ready(): Promise<void> {
    if (!this.#running || this.#stopping !== null)
      throw new HedgerowError("stopped", "the node is stopping");
    await this.#stored.ready();
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
    await this.#stored.resign();
  }

  /** From the last step to the first: each is done, whatever becomes of those before it. */
  async #stop(): Promise<void> {
    await using steps = new AsyncDisposableStack();
    const stopped = new HedgerowError("stopped", "the node is stopping");
    steps.defer(() => this.#shutdown.abort(stopped));
    steps.defer(() => this.#gossip.leave());
    steps.defer(() => this.#joining.stop());
    steps.defer(() => this.spill.stop());
    await this.resign();
  }

  #onMembersChange(change: TableChange): void {
    if (!change.onlyDoubt) this.#onListChange(change);
    this.#observers.notify(this.#gossip.members());
  }

  #onListChange(change: TableChange): void {
    const joined = change.joined.map(memberInfo);
    const left = change.left.map(memberInfo);
    for (const { address } of joined) {
      this.config.logger.info("member joined", { member: address });
      this.spill.memberJoined(address);
      this.#stored.memberJoined(address);
    }
    for (const { address } of left) this.config.logger.info("member left", { member: address });
    for (const address of change.vacated) this.spill.addressVacated(address);
    this.#joining.onMembersChange();
    this.#updateSharder();
    this.#participate();
    if (joined.length + left.length === 0) return;
    this.#callBack("onMembersChanged", () => this.config.onMembersChanged?.({ joined, left }));
  }

  /** Who may keep segments of this node: the members that are there to stay. */
  #spillNodes(): string[] {
    const addresses = this.#gossip
      .members()
      .filter(
        ({ liveness, state }) => liveness === Liveness.ALIVE && state !== PeerState.TERMINATING,
      )
      .map(({ address }) => address);
    // While a former process at an address counts still, two members have it.
    return [...new Set(addresses)].filter((address) => address !== this.config.address);
  }

  /** Once it has joined, and if it is to. */
  #participate(): void {
    const isToBe = this.config.state === "participant" && this.#gossip.state === PeerState.VIEWER;
    if (isToBe && this.#running && this.#stored.hasJoined)
      this.#gossip.become(PeerState.PARTICIPANT);
  }

  #makeSharder(): MemberSharder {
    const { MemberSharder } =
      require("./member-sharder.ts") as typeof import("./member-sharder.ts");
    const sharder = new MemberSharder(this.config.sharder ?? { algorithm: "ring" });
    sharder.update(this.members());
    return sharder;
  }

  #updateSharder(): void {
    try {
      this.#sharder?.update(this.members());
    } catch (error) {
      this.config.logger.error("sharder not updated", { error: messageOf(error) });
    }
  }

  #onFatal(error: HedgerowError): void {
    if (this.#stopping !== null) return;
    this.config.logger.error("cannot go on", { error: error.message });
    void this.stop().then(() => this.#callBack("onFatal", () => this.config.onFatal?.(error)));
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
