import { HedgerowError, messageOf } from "../errors.ts";
import {
  GossipService,
  type Member,
  type PingIndirectRequest,
  type PingRequest,
  type SyncRequest,
} from "../gen/hedgerow/v1/gossip_pb.ts";
import { hintFromWire, hintToWire } from "../rpc/hint.ts";
import type { LeaderDirectory } from "../lock/directory.ts";
import type { Logger } from "../observe/logger.ts";
import type { Peers, ServedCall } from "../rpc/port.ts";
import type { Runtime, Timer } from "../runtime/runtime.ts";
import { fromWire, Liveness, type MemberRecord, type PeerState, toWire } from "./member.ts";
import { ProbeOrder, shuffled } from "./probe-order.ts";
import { MemberTable, type TableChange } from "./table.ts";
import { type GossipTiming, MAX_MEMBERS, MAX_PIGGYBACK } from "./timing.ts";

/** Time-out of a comparison of whole lists, and of saying good-bye, in milliseconds. */
const SYNC_TIMEOUT_MS = 2_000;
const LEAVE_TIMEOUT_MS = 500;
/** How many members are told good-bye directly; the others hear it from them. */
const LEAVE_FANOUT = 8;

/** What all nodes of one cluster share. */
export interface ClusterIdentity {
  readonly label: string;
  readonly leaseMs: number;
}

export interface GossipOptions {
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  readonly timing: GossipTiming;
  readonly cluster: ClusterIdentity;
  readonly self: MemberRecord;
  readonly onChange: (change: TableChange) => void;
  /** This node's settings are not the cluster's: it must not go on. */
  readonly onFatal: (error: HedgerowError) => void;
}

/** The loop around MemberTable: probes, compares lists, and answers others that do. */
export class Gossip {
  readonly #table: MemberTable;
  readonly #order: ProbeOrder;
  #timers: Timer[] = [];
  #stopped = false;

  constructor(private readonly options: GossipOptions) {
    const { self, timing, runtime } = options;
    this.#table = new MemberTable(self, timing, runtime.clock.now());
    this.#order = new ProbeOrder(runtime.random);
  }

  members(): MemberRecord[] {
    return this.#table.present();
  }

  /** This node's own, which rises should an earlier start of it have claimed more. */
  get incarnation(): number {
    return this.#table.self.incarnation;
  }

  start(): void {
    const { timing } = this.options;
    this.#tell();
    this.#every(timing.probeIntervalMs, () => this.#probe());
    this.#every(timing.syncIntervalMs, () => this.#syncWithAny());
  }

  /** Changes this node's own state, which the next messages carry. */
  become(state: PeerState): void {
    this.#table.become(state, this.#now());
  }

  /** Ends the loop and says good-bye to some of the members. Never throws. */
  async leave(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const timer of this.#timers.splice(0)) timer.cancel();
    const others = this.#others();
    this.#table.leave(this.#now());
    const told = shuffled(others, this.options.runtime.random).slice(0, LEAVE_FANOUT);
    await Promise.all(
      told.map((member) =>
        this.#ping(member, LEAVE_TIMEOUT_MS).catch((error: unknown) =>
          this.options.logger.debug("not told of leaving", {
            member: member.address,
            error: messageOf(error),
          }),
        ),
      ),
    );
  }

  /**
   * Compares whole lists with the node at `address`: how one joins, and how partitions heal. Throws
   * `wrong_cluster` where it is another cluster's, and the errors of transport.
   */
  async sync(address: string, timeoutMs = SYNC_TIMEOUT_MS): Promise<void> {
    const { peers, cluster, directory } = this.options;
    const reply = await peers.unary(
      address,
      GossipService.method.sync,
      {
        cluster,
        self: toWire(this.#table.self),
        members: this.#table.all().map(toWire),
        leader: hintToWire(directory.newest),
      },
      { timeoutMs },
    );
    this.#checkCluster(reply.cluster);
    this.#hear(reply.members, reply.leader);
  }

  /** Joins through `address` unless it is a member already; errors are logged only. */
  rejoin(address: string): void {
    if (this.#stopped || this.members().some((member) => member.address === address)) return;
    this.#syncQuietly(address);
  }

  async serveSync(request: SyncRequest) {
    const { cluster, directory } = this.options;
    this.#checkCluster(request.cluster);
    if (request.self === undefined) throw malformed();
    const joiner = fromWire(request.self);
    const namesake = this.members().find((member) => member.name === joiner.name);
    if (namesake !== undefined && namesake.address !== joiner.address) {
      throw new HedgerowError(
        "invalid_argument",
        `the name ${joiner.name} is taken by ${namesake.address}: choose another --name`,
      );
    }
    this.#hear([request.self, ...request.members], request.leader);
    return {
      cluster,
      members: this.#table.all().map(toWire),
      leader: hintToWire(directory.newest),
    };
  }

  async servePing(request: PingRequest) {
    const { cluster, directory } = this.options;
    const { self } = this.#table;
    if (request.label !== cluster.label || request.target !== self.name) {
      throw new HedgerowError("other_cluster", `this is ${self.name} of ${cluster.label}`);
    }
    if (request.self === undefined) throw malformed();
    this.#hear([request.self, ...request.updates], request.leader);
    const asker = this.#table.find(request.self.name);
    const news = asker === undefined ? this.#table.news(MAX_PIGGYBACK) : this.#newsFor(asker);
    return { updates: news.map(toWire), leader: hintToWire(directory.newest) };
  }

  async servePingIndirect(request: PingIndirectRequest, call: ServedCall) {
    if (request.label !== this.options.cluster.label) throw malformed();
    const target = this.#table.find(request.target);
    if (target === undefined || target.address !== request.address) throw malformed();
    await this.#ping(target, Math.min(call.timeoutMs, this.options.timing.probeIntervalMs));
    return {};
  }

  async #probe(): Promise<void> {
    if (this.#table.expire(this.#now())) this.#tell();
    const others = this.#others();
    const name = this.#order.next(new Set(others.map((member) => member.name)));
    const target = others.find((member) => member.name === name);
    if (target === undefined) return;
    const { timing } = this.options;
    try {
      await this.#ping(target, timing.probeTimeoutMs);
    } catch {
      // No answer is what a probe is for; whom it concerns hears of it as a suspicion.
      if (await this.#probeThroughOthers(target, others)) return;
      const seen = this.#table.find(target.name);
      if (this.#stopped || seen?.incarnation !== target.incarnation) return;
      this.options.logger.debug("suspect", { member: target.address });
      this.#table.suspect(target.name, this.#now());
    }
  }

  /** Asks some others; true as soon as one of them reached the target. */
  async #probeThroughOthers(target: MemberRecord, others: MemberRecord[]): Promise<boolean> {
    const { timing, cluster, peers, runtime } = this.options;
    const helpers = shuffled(
      others.filter((member) => member.name !== target.name),
      runtime.random,
    ).slice(0, timing.indirectProbes);
    const timeoutMs = timing.probeIntervalMs - timing.probeTimeoutMs;
    const request = {
      label: cluster.label,
      target: target.name,
      address: target.address,
      timeoutMs,
    };
    const { pingIndirect } = GossipService.method;
    const asked = helpers.map((helper) =>
      peers.unary(helper.address, pingIndirect, request, { timeoutMs }),
    );
    return await Promise.any(asked).then(
      () => true,
      () => false,
    );
  }

  async #ping(member: MemberRecord, timeoutMs: number): Promise<void> {
    const { peers, cluster, directory } = this.options;
    const reply = await peers.unary(
      member.address,
      GossipService.method.ping,
      {
        label: cluster.label,
        target: member.name,
        updates: this.#newsFor(member).map(toWire),
        leader: hintToWire(directory.newest),
        self: toWire(this.#table.self),
      },
      { timeoutMs },
    );
    this.#hear(reply.updates, reply.leader);
  }

  /** Who is held suspect or dead is told so each time: nobody refutes faster than whom it concerns. */
  #newsFor(member: MemberRecord): MemberRecord[] {
    const news = this.#table.news(MAX_PIGGYBACK);
    const record = this.#table.find(member.name);
    if (record === undefined || record.liveness === Liveness.ALIVE) return news;
    return news.includes(record) ? news : [...news, record];
  }

  async #syncWithAny(): Promise<void> {
    const [member] = shuffled(this.#others(), this.options.runtime.random);
    if (member !== undefined) this.#syncQuietly(member.address);
  }

  #syncQuietly(address: string): void {
    this.sync(address).catch((error: unknown) => {
      if (HedgerowError.is(error, "wrong_cluster")) this.options.onFatal(error);
      else this.options.logger.debug("sync failed", { with: address, error: messageOf(error) });
    });
  }

  #hear(members: readonly Member[], leader: Parameters<typeof hintFromWire>[0]): void {
    if (members.length > MAX_MEMBERS) throw malformed();
    const now = this.#now();
    for (const record of members.map(fromWire)) this.#table.hear(record, now);
    this.options.directory.learn(hintFromWire(leader));
    this.#tell();
  }

  #tell(): void {
    const change = this.#table.takeChange();
    if (change === null) return;
    for (const member of change.left) this.options.peers.forget(member.address);
    this.options.onChange(change);
  }

  #checkCluster(theirs: { label: string; leaseMs: number } | undefined): void {
    const { label, leaseMs } = this.options.cluster;
    if (theirs === undefined) throw malformed();
    // No reason to end: it may be that a stranger got the address of a member that is gone.
    if (theirs.label !== label) {
      throw new HedgerowError("other_cluster", `another cluster: ${theirs.label}, not ${label}`);
    }
    if (theirs.leaseMs !== leaseMs) {
      throw otherLease(leaseMs, theirs.leaseMs);
    }
  }

  #others(): MemberRecord[] {
    const { name } = this.#table.self;
    return this.members().filter((member) => member.name !== name);
  }

  /** Runs `work` again and again, `ms` after the last start but never two at once. */
  #every(ms: number, work: () => Promise<void>): void {
    const { clock } = this.options.runtime;
    const index = this.#timers.length;
    const round = async () => {
      const startedAt = clock.now();
      try {
        await work();
      } catch (error) {
        this.options.logger.error("gossip round failed", { error: messageOf(error) });
      }
      if (!this.#stopped) this.#timers[index] = clock.schedule(startedAt + ms - clock.now(), run);
    };
    const run = () => void round();
    this.#timers[index] = clock.schedule(ms * this.options.runtime.random.next(), run);
  }

  #now(): number {
    return this.options.runtime.clock.now();
  }
}

/** Two leases in one cluster would let one node take over while another still leads. */
export function otherLease(ownMs: number, theirsMs: number): HedgerowError {
  const leases = `leases differ, ${ownMs} ms and ${theirsMs} ms`;
  return new HedgerowError(
    "wrong_cluster",
    `${leases}: start all nodes of a cluster with one --lease`,
  );
}

function malformed(): HedgerowError {
  return new HedgerowError("invalid_argument", "gossip: the message is malformed");
}
