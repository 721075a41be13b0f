import { expect, test } from "bun:test";
import {
  acquired,
  claimFreed,
  type Contending,
  contendFrom,
  judgeRow,
  nextStep,
  refused,
  renewalFailed,
  renewed,
} from "../../src/lock/decider.ts";
import { leaseTiming } from "../../src/lock/timing.ts";
import { mayTakeOver } from "../../src/store/judge.ts";

const timing = leaseTiming(30_000);
const row = (ageMs: number | null, beat = "b1") => ({
  token: 7,
  writer: "a:1",
  beat,
  ageMs,
  leaseMs: null,
});

test("the arithmetic of a lease of 30 s and of 2 s", () => {
  expect(timing).toMatchObject({ renewEveryMs: 10_000, holdMs: 26_900, takeOverAgeMs: 31_000 });
  expect(leaseTiming(2_000)).toMatchObject({ holdMs: 1_700, takeOverAgeMs: 2_500 });
});

test("with clocks 5% apart a holder stops before a contender may take over, at any lease", () => {
  for (const leaseMs of [1_000, 2_000, 5_000, 30_000, 600_000]) {
    const { holdMs, takeOverAgeMs } = leaseTiming(leaseMs);
    expect(holdMs / 0.95).toBeLessThan(takeOverAgeMs / 1.05);
  }
});

test("a renewal fails once and is repeated before the holder must stop", () => {
  for (const leaseMs of [1_000, 2_000, 30_000]) {
    const { renewEveryMs, renewTimeoutMs, retryMs, holdMs } = leaseTiming(leaseMs);
    expect(renewEveryMs + renewTimeoutMs + retryMs + renewTimeoutMs).toBeLessThanOrEqual(holdMs);
  }
});

test("a contender reads when it is time, and not before", () => {
  const state = refused(contendFrom(0), 0, 50);
  expect(nextStep(state, 49)).toEqual({ kind: "wait", until: 50 });
  expect(nextStep(state, 50)).toEqual({ kind: "read" });
});

test("a contender that lets others go first reads so much later", () => {
  const state = refused(contendFrom(0), 0, 50);
  expect(nextStep(state, 549, 500)).toEqual({ kind: "wait", until: 550 });
  expect(nextStep(state, 550, 500)).toEqual({ kind: "read" });
});

test("of a row that is said to be free it claims nothing but a free row of that token", () => {
  const takeOver = { name: "jobs", writer: "a:1", leaseMs: 1_000, ...claimFreed(7) };
  expect(mayTakeOver(row(Infinity), takeOver)).toBe(true);
  expect(mayTakeOver(row(600_000_000), takeOver)).toBe(false);
  expect(mayTakeOver(row(null), takeOver)).toBe(false);
  expect(mayTakeOver({ ...row(Infinity), token: 8 }, takeOver)).toBe(false);
  expect(mayTakeOver(null, takeOver)).toBe(false);
});

test("no row: it claims at once, on the condition that there still is none", () => {
  const { claim } = judgeRow(contendFrom(0), null, 0, timing);
  expect(claim).toEqual({ expectedToken: null, minAgeMs: 31_000 });
});

test("a young heartbeat: it looks again at the moment when the lease can be over", () => {
  const { state, claim } = judgeRow(contendFrom(0), row(1_000), 5_000, timing);
  expect(claim).toBeNull();
  expect(state.attemptAt).toBe(35_000);
});

test("an old heartbeat, or a released one: it claims on the token that it read", () => {
  for (const ageMs of [31_000, Infinity]) {
    const { claim } = judgeRow(contendFrom(0), row(ageMs), 5_000, timing);
    expect(claim).toEqual({ expectedToken: 7, minAgeMs: 31_000 });
  }
});

test("a heartbeat of another boot is watched for one lease and grace, and again when it changes", () => {
  let state: Contending = contendFrom(0);
  const look = (beat: string, now: number) => {
    const judged = judgeRow(state, row(null, beat), now, timing);
    state = judged.state;
    return judged.claim;
  };
  expect(look("b1", 0)).toBeNull();
  expect(state.attemptAt).toBe(31_000);
  expect(look("b2", 30_000)).toBeNull();
  expect(state.attemptAt).toBe(61_000);
  expect(look("b2", 60_999)).toBeNull();
  expect(look("b2", 61_000)).toMatchObject({ expectedToken: 7, watchedBeat: "b2" });
});

test("a leader renews, and steps down at its deadline whatever else is due", () => {
  const leading = acquired(7, 0, timing);
  expect(nextStep(leading, 9_999)).toEqual({ kind: "wait", until: 10_000 });
  expect(nextStep(leading, 10_000)).toEqual({ kind: "renew", token: 7 });
  expect(nextStep(leading, 26_900)).toEqual({ kind: "step-down", token: 7 });
});

test("a renewal moves the deadline by when it was sent, not by when it was answered", () => {
  expect(renewed(acquired(7, 0, timing), 10_000, 17_000, timing).deadline).toBe(36_900);
});

test("a renewal answered at the deadline or later gives nothing back", () => {
  const leading = acquired(7, 0, timing);
  expect(renewed(leading, 20_000, 26_900, timing)).toBe(leading);
});

test("a failed renewal is tried again soon, under the same deadline", () => {
  const failed = renewalFailed(acquired(7, 0, timing), 12_000, 500);
  expect(failed).toMatchObject({ deadline: 26_900, renewAt: 12_500 });
});
