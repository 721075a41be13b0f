import { expect, test } from "bun:test";
import { checkOptions } from "../../src/node/options.ts";
import {
  FAST_PROFILE,
  LAN_PROFILE,
  retransmits,
  suspicionMs,
  syncIntervalMs,
  WAN_PROFILE,
} from "../../src/members/timing.ts";

test("memberlist's suspicion: 8.7 s at the least at 151 nodes and 12 s at 1,000, six times that alone", () => {
  expect(suspicionMs(LAN_PROFILE, 151, 3)).toBeCloseTo(8_716, 0);
  expect(suspicionMs(LAN_PROFILE, 1_000, 3)).toBeCloseTo(12_000, 0);
  expect(suspicionMs(LAN_PROFILE, 151, 1)).toBeCloseTo(6 * 8_715.9, 0);
});

test("each witness shortens a suspicion, as the logarithm of their number", () => {
  const [alone, two, three, many] = [1, 2, 3, 50].map((n) => suspicionMs(LAN_PROFILE, 151, n));
  const [most, least] = [alone as number, three as number];
  expect(two).toBeCloseTo(most - (Math.log(2) / Math.log(3)) * (most - least), 6);
  expect(many).toBe(least);
});

test("where there are too few others to confirm, a suspect has the least time", () => {
  expect(suspicionMs(FAST_PROFILE, 3, 1)).toBe(1_000);
  expect(suspicionMs(FAST_PROFILE, 4, 1)).toBe(6_000);
});

test("statements travel 4 times per power of ten of the members; lists are compared more rarely in large clusters", () => {
  expect([1, 9, 10, 151, 1_000].map((n) => retransmits(LAN_PROFILE, n))).toEqual([4, 4, 8, 12, 16]);
  const minutes = [2, 32, 33, 64, 65, 151, 1_000].map((n) => syncIntervalMs(LAN_PROFILE, n) / 3e4);
  expect(minutes).toEqual([1, 1, 2, 2, 3, 4, 6]);
});

test("the pace is a profile, or one with constants of one's own", () => {
  expect(checkOptions({}).gossip).toEqual(FAST_PROFILE);
  expect(checkOptions({ gossip: "wan" }).gossip).toEqual(WAN_PROFILE);
  expect(checkOptions({ gossip: "lan", syncInterval: "10s" }).gossip.syncIntervalMs).toBe(10_000);
  const own = { profile: "lan", probeIntervalMs: 2_000 } as const;
  expect(checkOptions({ gossip: own }).gossip).toEqual({ ...LAN_PROFILE, probeIntervalMs: 2_000 });
  for (const wrong of [
    { gossip: "slow" },
    { gossip: { probeIntervalMs: 0 } },
    { gossip: { gossipFanout: 1.5 } },
    { gossip: { probeTimeoutMs: 500 } },
    { gossip: { sniffing: 1 } },
  ]) {
    expect(() => checkOptions(wrong as never)).toThrow(/gossip/);
  }
});
