import type { Logger } from "../observe/logger.ts";
import type { Peers } from "../rpc/port.ts";
import type { Clock, Runtime } from "../runtime/runtime.ts";
import { pick, probeTarget } from "./choice.ts";
import type { Exchange } from "./exchange.ts";
import type { GossipFigures } from "./figures.ts";
import type { LocalHealth } from "./local-health.ts";
import { Liveness, type MemberRecord } from "./member.ts";
import type { MemberTable } from "./table.ts";
import type { GossipTiming } from "./timing.ts";

export interface ProberOptions {
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly timing: GossipTiming;
  readonly table: MemberTable;
  readonly health: LocalHealth;
  readonly figures: GossipFigures;
  readonly exchange: Exchange;
  /** Somebody is suspect now. */
  readonly onSuspicion: () => void;
}

/** Asks one member per round whether it is there: directly, then through others. */
export class Prober {
  constructor(private readonly options: ProberOptions) {}

  /** One round. Nobody's errors get out of it: no answer is what a probe is for. */
  async probe(): Promise<void> {
    const { runtime, timing, table, health, peers, figures } = this.options;
    const slot = Math.floor(runtime.clock.wallMicros() / 1e3 / timing.probeIntervalMs);
    const target = table.find(probeTarget(table.names, table.self.name, slot) ?? "");
    if (target === undefined) return;
    const startedAt = runtime.clock.now();
    // Whoever has just answered a call is alive.
    const heardAt = peers.heardAt?.(target.address) ?? Number.NEGATIVE_INFINITY;
    const speaks =
      target.liveness === Liveness.ALIVE &&
      startedAt - heardAt < timing.probeIntervalMs &&
      !table.isFollowed(target);
    if (!speaks) {
      await this.#ask(target, startedAt);
      return;
    }
    figures.probes.spared++;
    health.improve();
  }

  /** Tries one who died: it may have been cut off. */
  async tryLost(): Promise<void> {
    const { runtime, timing, table, exchange, logger } = this.options;
    const lost = table.lost(runtime.clock.now());
    const member = lost[Math.floor(runtime.random.next() * lost.length)];
    if (member === undefined) return;
    try {
      await exchange.ping(member, timing.probeTimeoutMs);
    } catch {
      return; // still lost, as is usual
    }
    logger.info("reached again", { member: member.address });
    await exchange.syncQuietly(member.address);
  }

  async #ask(target: MemberRecord, startedAt: number): Promise<void> {
    const { runtime, timing, table, health, exchange, figures } = this.options;
    const { clock, random } = runtime;
    const intervalMs = timing.probeIntervalMs * health.factor;
    const direct = exchange.ping(target, intervalMs);
    if (await settlesWell(direct, timing.probeTimeoutMs * health.factor, clock)) {
      figures.probes.answered++;
      health.improve();
      return;
    }
    const helpers = pick(table.names, timing.indirectProbes, random, (name) =>
      this.#canHelp(name, target),
    );
    const leftMs = Math.max(timing.probeTimeoutMs, startedAt + intervalMs - clock.now());
    const nacks: string[] = [];
    const asked = helpers.map(async (name) => {
      const reached = await exchange.askToPing(table.find(name) as MemberRecord, target, leftMs);
      if (reached) return;
      nacks.push(name);
      throw new Error("nack");
    });
    try {
      await Promise.any([direct, ...asked]);
      figures.probes.late++;
      health.improve();
    } catch {
      const lateMs = clock.now() - startedAt - Math.max(intervalMs, timing.probeTimeoutMs);
      this.#unanswered(target, helpers.length, nacks, lateMs);
    }
  }

  /** Missing nacks tell that this node itself may be out of touch, or asleep. */
  #unanswered(target: MemberRecord, asked: number, nacks: string[], lateMs: number): void {
    const { runtime, timing, table, health, figures, logger, onSuspicion } = this.options;
    figures.probes.unanswered++;
    const slept = lateMs > timing.probeIntervalMs;
    health.worsen(asked === 0 || slept ? 1 : asked - nacks.length);
    const record = table.find(target.name);
    const same = record?.incarnation === target.incarnation && record.version === target.version;
    if (slept || !same) return;
    // Those who could not reach it either are witnesses: their doubt counts as confirmed at once.
    if (!table.suspect(target.name, [table.self.name, ...nacks], runtime.clock.now())) return;
    figures.suspicions++;
    logger.debug("suspect", { member: target.address });
    onSuspicion();
  }

  #canHelp(name: string, target: MemberRecord): boolean {
    const { table } = this.options;
    if (name === target.name || name === table.self.name) return false;
    return table.find(name)?.liveness === Liveness.ALIVE;
  }
}

/** Whether `work` is done without an error within `ms`. */
function settlesWell(work: Promise<void>, ms: number, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = clock.schedule(ms, () => resolve(false));
    const settle = (well: boolean) => () => {
      timer.cancel();
      resolve(well);
    };
    work.then(settle(true), settle(false));
  });
}
