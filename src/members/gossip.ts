import { messageOf } from "../errors.ts";
import type {
  PingIndirectRequest,
  PingRequest,
  SyncRequest,
} from "../gen/hedgerow/v1/gossip_pb.ts";
import type { Address, ServedCall } from "../rpc/port.ts";
import type { Timer } from "../runtime/runtime.ts";
import { pick } from "./choice.ts";
import { Exchange, type ExchangeOptions } from "./exchange.ts";
import { GossipFigures } from "./figures.ts";
import { LocalHealth } from "./local-health.ts";
import { Notices } from "./notices.ts";
import { Liveness, type MemberRecord, type PeerState } from "./member.ts";
import { Pace } from "./pace.ts";
import { Prober } from "./prober.ts";
import type { TableChange } from "./changes.ts";
import { MemberTable } from "./table.ts";
import { syncIntervalMs } from "./timing.ts";

/** Time-out of saying good-bye, in milliseconds. */
const LEAVE_TIMEOUT_MS = 500;
/** How many members are told good-bye directly; the others hear it from them. */
const LEAVE_FANOUT = 8;
/** While somebody is suspect, deaths are looked for at least this often: confirmations bring them forward. */
const DEATH_WATCH_MS = 100;
/** Probe rounds at once: one that gets no answer may last as long as the interval. */
const MAX_ROUNDS = 2;
/** A member of a cluster of n tries a lost one in so many of n rounds. */
const LOST_SHARE = 0.5;

export interface GossipOptions extends Omit<
  ExchangeOptions,
  "table" | "notices" | "health" | "figures" | "onHeard"
> {
  readonly self: MemberRecord;
  readonly onChange: (change: TableChange) => void;
  /** The member at this address says something else of itself than before; see `say`. */
  readonly onNotice?: ((address: Address, body: Uint8Array, stamp: number) => void) | undefined;
}

/** The loops around MemberTable: probes, tells news while there are any, buries suspects, compares lists. */
export class Gossip {
  readonly figures = new GossipFigures();
  readonly #table: MemberTable;
  readonly #notices: Notices;
  readonly #health: LocalHealth;
  readonly #exchange: Exchange;
  readonly #prober: Prober;
  readonly #pace: Pace;
  readonly #timers: { probe?: Timer; sync?: Timer; news?: Timer; deaths?: Timer } = {};
  /** Waiting until this node's newest statement of itself has been told. */
  readonly #untold: (() => void)[] = [];
  #rounds = 0;
  #running = false;

  constructor(private readonly options: GossipOptions) {
    const { self, timing, runtime } = options;
    this.#table = new MemberTable(self, timing, runtime.clock.now());
    this.#notices = new Notices(self.name, () => runtime.clock.wallMicros());
    this.#health = new LocalHealth(timing.maxHealthScore);
    const { figures } = this;
    const notices = this.#notices;
    const shared = { ...options, table: this.#table, notices, health: this.#health, figures };
    this.#exchange = new Exchange({ ...shared, onHeard: () => this.#onHeard() });
    this.#prober = new Prober({
      ...shared,
      exchange: this.#exchange,
      onSuspicion: () => this.#onHeard(),
    });
    this.#pace = new Pace(runtime.clock, timing.probeTimeoutMs, (ms) => {
      figures.stalls.count++;
      figures.stalls.ms += ms;
      this.#health.worsen(1);
      this.#table.forgive(ms);
    });
  }

  members(): readonly MemberRecord[] {
    return this.#table.present();
  }

  /** This node's own, which rises should an earlier start of it have claimed more. */
  get incarnation(): number {
    return this.#table.self.incarnation;
  }

  get state(): PeerState {
    return this.#table.self.state;
  }

  /** How things stand, beside what `figures` has counted. */
  get standing() {
    const { self, newsSize, goneSize } = this.#table;
    return { self, newsSize, goneSize, healthScore: this.#health.score };
  }

  start(): void {
    this.#running = true;
    const { timing, runtime } = this.options;
    this.#scheduleProbe(timing.probeIntervalMs * runtime.random.next());
    this.#scheduleSync();
    this.#onHeard();
  }

  /** Changes this node's own state, which the next messages carry. Throws `invalid_argument` if it may not. */
  become(state: PeerState): void {
    this.#table.become(state, this.#now());
    this.#onHeard();
  }

  /**
   * All members hear of `body`, which stands for what this node said so before: within a second, if need be by more
   * messages than there are otherwise. At most 64 bytes, or it throws `too_large`.
   */
  say(body: Uint8Array): void {
    this.#notices.say(body);
    this.#onHeard();
  }

  /** Greater than the stamps of all that this node has said so far, and less than those of what it will say. */
  stamp(): number {
    return this.#notices.stamp();
  }

  /** Resolves once what this node says of itself has been passed on as often as news are, or nobody is there. */
  told(): Promise<void> {
    return new Promise((resolve) => {
      this.#untold.push(resolve);
      this.#settleTold();
    });
  }

  /**
   * Ends the loops and says good-bye to some of the members, also before `start`: whom this node has met has it on its
   * list. What it hears from then on is not told. Idempotent, and never throws.
   */
  async leave(): Promise<void> {
    if (this.#hasLeft) return;
    this.#running = false;
    for (const timer of Object.values(this.#timers)) timer.cancel();
    const { names, self } = this.#table;
    const told = pick(names, LEAVE_FANOUT, this.options.runtime.random, (n) => n !== self.name);
    this.#table.leave(this.#now());
    this.#settleTold();
    await Promise.all(told.map((name) => this.#pingQuietly(name, LEAVE_TIMEOUT_MS)));
  }

  /** See Exchange: how one joins. */
  sync(address: string, timeoutMs?: number): Promise<void> {
    return this.#exchange.sync(address, timeoutMs);
  }

  /** Joins through `address` unless it is a member already; see Exchange for `mustAgree` and errors. */
  rejoin(address: string, mustAgree: boolean): void {
    if (!this.#running || this.members().some((member) => member.address === address)) return;
    void this.#exchange.syncQuietly(address, mustAgree);
  }

  serveSync(request: SyncRequest) {
    return this.figures.served(this.#exchange.serveSync(request));
  }

  servePing(request: PingRequest) {
    return this.figures.served(this.#exchange.servePing(request));
  }

  servePingIndirect(request: PingIndirectRequest, call: ServedCall) {
    return this.figures.served(this.#exchange.servePingIndirect(request, call));
  }

  /** After anything that may have changed the table. */
  #onHeard(): void {
    this.#report();
    this.#passNotices();
    if (!this.#running) return;
    if (this.#timers.news === undefined) {
      this.#scheduleNews(this.options.timing.gossipIntervalMs * this.options.runtime.random.next());
    }
    if (this.#timers.deaths === undefined) this.#scheduleDeaths();
    this.#settleTold();
  }

  get #hasLeft(): boolean {
    return this.#table.self.liveness === Liveness.LEFT;
  }

  #report(): void {
    if (this.#hasLeft) return;
    const change = this.#table.takeChange();
    if (change === null) return;
    const { joined, left, vacated, onlyDoubt } = change;
    const { events } = this.figures;
    events.node_join += joined.length;
    events.node_leave += left.length;
    if (joined.length + left.length === 0 && !onlyDoubt) events.node_update++;
    for (const address of vacated) this.options.peers.forget(address);
    for (const { name } of left) if (!this.#table.has(name)) this.#notices.forget(name);
    this.options.onChange(change);
  }

  /** After the change of the list, which may concern who had the address before. */
  #passNotices(): void {
    for (const { name, body, stamp } of this.#notices.takeFresh()) {
      const member = this.#table.find(name);
      if (member !== undefined) this.options.onNotice?.(member.address, body, stamp);
    }
  }

  /** Rounds begin at one phase of the wall clock's intervals, so that each slot is used once. */
  #scheduleProbe(phaseMs: number): void {
    const { timing, runtime } = this.options;
    const { probeIntervalMs } = timing;
    const intoMs = (runtime.clock.wallMicros() / 1e3 - phaseMs) % probeIntervalMs;
    const waitMs = probeIntervalMs - intoMs;
    // A timer that fired a little early must not fire again at once.
    const soon = waitMs < probeIntervalMs / 4;
    this.#timers.probe = this.#pace.schedule(soon ? waitMs + probeIntervalMs : waitMs, () => {
      this.#scheduleProbe(phaseMs);
      if (this.#rounds < MAX_ROUNDS) void this.#round();
    });
  }

  async #round(): Promise<void> {
    this.#rounds++;
    try {
      const { random } = this.options.runtime;
      const tries = random.next() < LOST_SHARE / this.#table.names.size;
      await Promise.all([this.#prober.probe(), tries && this.#prober.tryLost()]);
    } catch (error) {
      this.options.logger.error("probe failed", { error: messageOf(error) });
    } finally {
      this.#rounds--;
    }
  }

  #scheduleSync(): void {
    const { timing, runtime } = this.options;
    const everyMs = syncIntervalMs(timing, this.#table.names.size);
    // Not in step with others that started at the same time.
    this.#timers.sync = this.#pace.schedule(everyMs * (0.5 + runtime.random.next()), () => {
      this.#scheduleSync();
      const [name] = this.#pickOthers(1);
      const member = this.#table.find(name ?? "");
      if (member !== undefined) void this.#exchange.compare(member);
    });
  }

  #scheduleNews(ms: number): void {
    delete this.#timers.news;
    const hasNews = this.#table.hasNews || this.#notices.hasNews;
    if (!hasNews || this.#table.names.size < 2) return;
    const { timing } = this.options;
    this.#timers.news = this.#pace.schedule(ms, () => {
      const timeoutMs = timing.probeTimeoutMs * this.#health.factor;
      // Notices, of which there may be some without end, make do with one member each time.
      const fanout = this.#table.hasNews ? timing.gossipFanout : 1;
      for (const name of this.#pickOthers(fanout)) {
        void this.#pingQuietly(name, timeoutMs);
      }
      this.#scheduleNews(timing.gossipIntervalMs);
      this.#settleTold();
    });
  }

  #scheduleDeaths(): void {
    delete this.#timers.deaths;
    const next = this.#table.nextDeath();
    if (next === null) return;
    // At the least the 1 ms of any timer: one that fires a hair early must not fire again at once.
    const waitMs = Math.min(DEATH_WATCH_MS, Math.max(1, next - this.#now()));
    this.#timers.deaths = this.#pace.schedule(waitMs, () => {
      this.figures.deaths += this.#table.expire(this.#now());
      this.#scheduleDeaths();
      this.#onHeard();
    });
  }

  #pickOthers(count: number): string[] {
    const { names, self } = this.#table;
    return pick(names, count, this.options.runtime.random, (name) => name !== self.name);
  }

  async #pingQuietly(name: string, timeoutMs: number): Promise<void> {
    const member = this.#table.find(name);
    if (member === undefined) return;
    try {
      await this.#exchange.ping(member, timeoutMs);
    } catch (error) {
      this.options.logger.debug("not told", { member: member.address, error: messageOf(error) });
    }
  }

  #settleTold(): void {
    const { names, self } = this.#table;
    if (this.#running && names.size > 1 && this.#table.isNews(self.name)) return;
    for (const resolve of this.#untold.splice(0)) resolve();
  }

  #now(): number {
    return this.options.runtime.clock.now();
  }
}
