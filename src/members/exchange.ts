import { HedgerowError, messageOf } from "../errors.ts";
import {
  GossipService,
  type Member,
  type Notice as NoticeMessage,
  type PingIndirectRequest,
  type PingRequest,
  type PingResponse,
  type SyncRequest,
} from "../gen/hedgerow/v1/gossip_pb.ts";
import type { LeaderDirectory } from "../lock/directory.ts";
import type { Logger } from "../observe/logger.ts";
import { hintFromWire, hintToWire } from "../rpc/hint.ts";
import type { Peers, ServedCall } from "../rpc/port.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { GossipFigures } from "./figures.ts";
import type { LocalHealth } from "./local-health.ts";
import {
  fromWire,
  isAccused,
  isPresent,
  Liveness,
  type MemberRecord,
  supersedes,
  toWire,
} from "./member.ts";
import { type Notice, noticeFromWire, type Notices, noticeToWire } from "./notices.ts";
import type { MemberTable, Source } from "./table.ts";
import {
  type GossipTiming,
  MAX_MEMBERS,
  MAX_NOTICES,
  MAX_PIGGYBACK,
  retransmits,
} from "./timing.ts";

/** Time-out of a comparison of lists, in milliseconds. */
const SYNC_TIMEOUT_MS = 2_000;
/** Lists that turned out to differ are compared no more often than this. */
const SYNC_PAUSE_MS = 1_000;
/** A helper answers after this share of the time that the asker waits, so that its nack comes in time. */
const NACK_SHARE = 0.8;

/**
 * Starts of nodes, and stamps of their notices, that are further ahead of this node's wall clock, 100 years, are not
 * believed. Time goes on, so that even the last one that is believed can be outbid; the greatest number of all could not.
 */
const MAX_AHEAD_MS = 100 * 365 * 86_400_000;

/** What all nodes of one cluster share. */
export interface ClusterIdentity {
  readonly label: string;
  /** 0 without a store. */
  readonly leaseMs: number;
}

export interface ExchangeOptions {
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  readonly timing: GossipTiming;
  readonly cluster: ClusterIdentity;
  readonly table: MemberTable;
  readonly notices: Notices;
  readonly health: LocalHealth;
  readonly figures: GossipFigures;
  /** Something was heard. */
  readonly onHeard: () => void;
  /** This node's settings are not the cluster's: it must not go on. */
  readonly onFatal: (error: HedgerowError) => void;
}

/** What members say to each other: every message that goes out or comes in carries news both ways. */
export class Exchange {
  #comparing = false;
  #comparedAt = Number.NEGATIVE_INFINITY;
  /** Why a member last refused to compare lists. */
  #refusal: string | null = null;

  constructor(private readonly options: ExchangeOptions) {}

  /** Tells the news and hears the other's. Throws the errors of transport, and `other_cluster`. */
  async ping(member: MemberRecord, timeoutMs: number): Promise<void> {
    await this.#ping(member, timeoutMs);
  }

  async #ping(member: MemberRecord, timeoutMs: number): Promise<number> {
    const { peers, cluster, directory, table, notices, timing } = this.options;
    const news = notices.news(MAX_NOTICES, retransmits(timing, table.names.size));
    const request = {
      label: cluster.label,
      target: member.name,
      updates: withOwn(table.news(MAX_PIGGYBACK), table.find(member.name)).map(toWire),
      leader: hintToWire(directory.newest),
      self: toWire(table.self),
      digest: table.digest,
      notices: news.map(noticeToWire),
      noticesDigest: notices.digest,
    };
    const { ping } = GossipService.method;
    const reply = await peers.unary(member.address, ping, request, { timeoutMs });
    this.#hear(statements(reply.updates), reply.leader, "news", noticesOf(reply.notices));
    this.#compareIfDifferent(member, reply);
    return reply.digest;
  }

  /** Asks another member to ping the target: whether that was answered. Throws if the helper is silent. */
  async askToPing(helper: MemberRecord, target: MemberRecord, timeoutMs: number): Promise<boolean> {
    const { peers, cluster } = this.options;
    const request = {
      label: cluster.label,
      target: target.name,
      address: target.address,
      timeoutMs: Math.ceil(timeoutMs),
    };
    const { pingIndirect } = GossipService.method;
    const reply = await peers.unary(helper.address, pingIndirect, request, { timeoutMs });
    return reply.reached;
  }

  /**
   * Compares lists with the node at `address`: how one joins, and how partitions heal. Throws `wrong_cluster` where
   * it is another cluster's, and the errors of transport.
   */
  async sync(address: string, timeoutMs = SYNC_TIMEOUT_MS): Promise<void> {
    const { peers, cluster, directory, table, notices, figures } = this.options;
    figures.events.get_local_state++;
    const reply = await peers.unary(
      address,
      GossipService.method.sync,
      {
        cluster,
        self: toWire(table.self),
        members: table.all().map(toWire),
        leader: hintToWire(directory.newest),
        notices: notices.all().map(noticeToWire),
      },
      { timeoutMs },
    );
    this.#checkCluster(reply.cluster);
    figures.events.merge_remote_state++;
    // Whoever is alone is told what the others know already.
    const source = table.names.size > 1 ? "list" : "welcome";
    this.#hear(statements(reply.members), reply.leader, source, noticesOf(reply.notices));
  }

  /**
   * Errors are logged only: a member that claims other settings than this node's must not end it. One that this node
   * `mustAgree` with, or go, is the holder of the lock's row.
   */
  syncQuietly(address: string, mustAgree = false): Promise<void> {
    return this.sync(address).catch((error: unknown) => {
      if (mustAgree && HedgerowError.is(error, "wrong_cluster")) this.options.onFatal(error);
      else this.#logFailure(address, error);
    });
  }

  /** That somebody is silent is usual. Being refused is not, but told once: it is tried again and again. */
  #logFailure(address: string, error: unknown): void {
    const { logger } = this.options;
    const { code, message } = HedgerowError.from(error);
    const fields = { with: address, error: message };
    const refusal = code === "invalid_argument" || code === "wrong_cluster" ? message : null;
    if (refusal === null || refusal === this.#refusal) logger.debug("sync failed", fields);
    else logger.error("refused", fields);
    this.#refusal = refusal ?? this.#refusal;
  }

  /** Compares lists with a member, digests first. Errors are logged only. */
  async compare(member: MemberRecord): Promise<void> {
    const { timing, table, logger } = this.options;
    try {
      const digest = await this.#ping(member, timing.probeIntervalMs);
      if (digest !== table.digest) await this.syncQuietly(member.address);
    } catch (error) {
      logger.debug("not compared", { member: member.address, error: messageOf(error) });
    }
  }

  async serveSync(request: SyncRequest) {
    const { cluster, directory, table, notices, figures } = this.options;
    this.#checkCluster(request.cluster);
    const joiner = speaker(request.self);
    const list = statements(request.members);
    const theirs = noticesOf(request.notices);
    const namesake = table.find(joiner.name);
    if (namesake !== undefined && isPresent(namesake) && namesake.address !== joiner.address) {
      figures.events.node_conflict++;
      throw new HedgerowError(
        "invalid_argument",
        `the name ${joiner.name} is taken by ${namesake.address}: choose another --name, or wait if that node is gone`,
      );
    }
    this.#hear([joiner], request.leader, "news", []);
    this.#hear(list, request.leader, "list", theirs);
    figures.events.merge_remote_state++;
    figures.events.get_local_state++;
    const members = this.#lackingIn(list).map(toWire);
    return {
      cluster,
      members,
      leader: hintToWire(directory.newest),
      notices: notices.lackingIn(theirs).map(noticeToWire),
    };
  }

  async servePing(request: PingRequest) {
    const { cluster, directory, table, notices } = this.options;
    const { self } = table;
    if (request.label !== cluster.label || request.target !== self.name) {
      throw new HedgerowError("other_cluster", `this is ${self.name} of ${cluster.label}`);
    }
    const speaking = speaker(request.self);
    const heard = [speaking, ...statements(request.updates)];
    const noticed = noticesOf(request.notices);
    this.#hear(heard, request.leader, "news", noticed);
    const answers = table.answers(MAX_PIGGYBACK, heard);
    return {
      updates: withOwn(answers, table.find(speaking.name)).map(toWire),
      leader: hintToWire(directory.newest),
      digest: table.digest,
      notices: notices.answers(MAX_NOTICES, noticed).map(noticeToWire),
      noticesDigest: notices.digest,
    };
  }

  async servePingIndirect(request: PingIndirectRequest, call: ServedCall) {
    const { cluster, table, timing, logger } = this.options;
    if (request.label !== cluster.label) throw malformed();
    const target = table.find(request.target);
    if (target === undefined || target.address !== request.address) throw malformed();
    const timeoutMs = Math.min(NACK_SHARE * call.timeoutMs, timing.probeIntervalMs);
    try {
      await this.ping(target, timeoutMs);
      return { reached: true };
    } catch (error) {
      logger.debug("not reached for another", { member: target.address, error: messageOf(error) });
      return { reached: false };
    }
  }

  /** What `theirs` lacks or is behind in. The gone are told to newcomers, and to those who hold them for present. */
  #lackingIn(theirs: readonly MemberRecord[]): MemberRecord[] {
    const { table, runtime } = this.options;
    const said = new Map(theirs.map((record) => [record.name, record]));
    const lacking = table.all().filter((record) => {
      const known = said.get(record.name);
      return known === undefined ? isPresent(record) : supersedes(record, known);
    });
    if (theirs.length > 1) return lacking;
    const gone = table.lately(runtime.clock.now());
    return [...lacking, ...gone.filter(({ name }) => !said.has(name))];
  }

  /** Lists that differ while neither side has news will not become equal by themselves; nor will what is noticed. */
  #compareIfDifferent({ name, address }: MemberRecord, reply: PingResponse): void {
    const { table, notices, runtime } = this.options;
    if (reply.updates.length > 0 || table.hasNews) return;
    if (reply.digest === table.digest) {
      if (reply.noticesDigest === notices.digest) return;
      if (reply.notices.length > 0 || notices.hasNews) return;
    }
    const now = runtime.clock.now();
    if (this.#comparing || now - this.#comparedAt < SYNC_PAUSE_MS || !table.has(name)) return;
    this.#comparing = true;
    this.#comparedAt = now;
    void this.syncQuietly(address).finally(() => {
      this.#comparing = false;
    });
  }

  #hear(
    records: readonly MemberRecord[],
    leader: Parameters<typeof hintFromWire>[0],
    source: Source,
    notices: readonly Notice[],
  ): void {
    const { table, health, figures, directory, runtime, onHeard } = this.options;
    const now = runtime.clock.now();
    const latest = runtime.clock.wallMicros() / 1e3 + MAX_AHEAD_MS;
    for (const record of records) {
      if (record.incarnation > latest) continue;
      const ofSelf = record.name === table.self.name;
      const isNews = table.hear(record, now, source);
      if (isNews) figures.events.state_change_message++;
      if (!ofSelf || !isNews) continue;
      figures.refutations++;
      this.options.notices.repeat();
      // Others did not hear from this node in time: it may be the slow one.
      if (isAccused(record)) health.worsen(1);
    }
    for (const notice of notices) {
      if (notice.stamp / 1e3 > latest || !table.has(notice.name)) continue;
      this.options.notices.hear(notice, source !== "welcome");
    }
    directory.learn(hintFromWire(leader));
    onHeard();
  }

  #checkCluster(theirs: { label: string; leaseMs: number } | undefined): void {
    const { label, leaseMs } = this.options.cluster;
    if (theirs === undefined) throw malformed();
    // No reason to end: it may be that a stranger got the address of a member that is gone.
    if (theirs.label !== label) {
      throw new HedgerowError("other_cluster", `another cluster: ${theirs.label}, not ${label}`);
    }
    if (theirs.leaseMs !== leaseMs) throw otherLease(leaseMs, theirs.leaseMs);
  }
}

/** Two leases in one cluster would let one node take over while another still leads. */
export function otherLease(ownMs: number, theirsMs: number): HedgerowError {
  if (ownMs === 0 || theirsMs === 0) {
    const mend = "start all nodes of a cluster with one --store";
    return new HedgerowError("wrong_cluster", `nodes with a store and without one: ${mend}`);
  }
  const leases = `leases differ, ${ownMs} ms and ${theirsMs} ms`;
  return new HedgerowError(
    "wrong_cluster",
    `${leases}: start all nodes of a cluster with one --lease`,
  );
}

/** All of a message or nothing: whoever sends one malformed statement is not to be trusted in the others. */
function statements(members: readonly Member[]): MemberRecord[] {
  if (members.length > MAX_MEMBERS) throw malformed();
  return members.map(fromWire);
}

function noticesOf(notices: readonly NoticeMessage[]): Notice[] {
  if (notices.length > MAX_MEMBERS) throw malformed();
  return notices.map(noticeFromWire);
}

/** Who is held suspect or dead is told so each time: nobody refutes faster than whom it concerns. */
function withOwn(news: MemberRecord[], record: MemberRecord | undefined): MemberRecord[] {
  if (record === undefined || record.liveness === Liveness.ALIVE) return news;
  return news.includes(record) ? news : [...news, record];
}

function speaker(self: Member | undefined): MemberRecord {
  if (self === undefined) throw malformed();
  return fromWire(self);
}

function malformed(): HedgerowError {
  return new HedgerowError("invalid_argument", "gossip: the message is malformed");
}
