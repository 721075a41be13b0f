import { expect, test } from "bun:test";
import type { Exchange } from "../../src/members/exchange.ts";
import { GossipFigures } from "../../src/members/figures.ts";
import { LocalHealth } from "../../src/members/local-health.ts";
import { Prober } from "../../src/members/prober.ts";
import { MemberTable } from "../../src/members/table.ts";
import { FAST_PROFILE } from "../../src/members/timing.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import type { Peers } from "../../src/rpc/port.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { Prng } from "../simulation/world/prng.ts";
import { recordOf } from "../simulation/swarm/swarm.ts";

/** Names of those who are probed by a node that has just heard from every address. */
async function probed(...others: Parameters<typeof recordOf>[]): Promise<string[]> {
  const clock = new ManualClock();
  const table = new MemberTable(recordOf("self:1", 1), FAST_PROFILE, 0);
  for (const other of others) table.hear(recordOf(...other), 0);
  const asked: string[] = [];
  const prober = new Prober({
    runtime: { clock, random: new Prng(1) },
    logger: silentLogger,
    peers: { heardAt: () => clock.now() } as unknown as Peers,
    timing: FAST_PROFILE,
    table,
    health: new LocalHealth(FAST_PROFILE.maxHealthScore),
    figures: new GossipFigures(),
    exchange: { ping: async ({ name }) => void asked.push(name) } as Partial<Exchange> as Exchange,
    onSuspicion: () => {},
  });
  // Any two rounds less a slot have a whole one in them.
  for (let slot = 1; slot < 2 * others.length; slot++) {
    await prober.probe();
    clock.pass(FAST_PROFILE.probeIntervalMs);
  }
  return [...new Set(asked)];
}

test("who has just answered a call is not probed", async () => {
  expect(await probed(["a:1", 1], ["b:1", 1], ["c:1", 1])).toEqual([]);
});

test("M3: what a later process at its address answers spares nobody the probe", async () => {
  expect(await probed(["a:1", 1, "ghost"], ["a:1", 2, "successor"])).toEqual(["ghost"]);
});
