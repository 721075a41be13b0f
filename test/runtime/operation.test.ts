import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { Operation, sleep } from "../../src/runtime/operation.ts";
import { backoffMs } from "../../src/runtime/runtime.ts";
import { Machine } from "../simulation/world/machine.ts";
import { Prng } from "../simulation/world/prng.ts";
import { Scheduler } from "../simulation/world/scheduler.ts";

function world() {
  const scheduler = new Scheduler();
  return { scheduler, clock: new Machine(scheduler) };
}

function codeOf(signal: AbortSignal): string | null {
  return HedgerowError.is(signal.reason) ? signal.reason.code : null;
}

test("an operation ends at its deadline, with the default where none is given", () => {
  const { scheduler, clock } = world();
  const given = new Operation(clock, "put", { timeoutMs: 50 }, 1_000);
  const byDefault = new Operation(clock, "put", {}, 100);
  scheduler.runUntil(99);
  expect(codeOf(given.signal)).toBe("timeout");
  expect(byDefault.signal.aborted).toBe(false);
  expect(byDefault.remainingMs()).toBe(1);
  scheduler.runUntil(100);
  expect(codeOf(byDefault.signal)).toBe("timeout");
  expect(() => byDefault.check()).toThrow("put: not done within 100 ms");
});

test("the caller's signal cancels it, the node's shutdown stops it, also if they came before", () => {
  const { clock } = world();
  const caller = new AbortController();
  const shutdown = new AbortController();
  const first = new Operation(clock, "put", { signal: caller.signal }, 100, shutdown.signal);
  caller.abort();
  expect(codeOf(first.signal)).toBe("canceled");
  const second = new Operation(clock, "put", {}, 100, shutdown.signal);
  shutdown.abort();
  expect(codeOf(second.signal)).toBe("stopped");
  expect(codeOf(new Operation(clock, "put", {}, 100, shutdown.signal).signal)).toBe("stopped");
});

test("disposed, it leaves neither timer nor listener behind", () => {
  const { scheduler, clock } = world();
  const caller = new AbortController();
  let operation: Operation;
  {
    using scoped = new Operation(clock, "put", { signal: caller.signal }, 100);
    operation = scoped;
  }
  caller.abort();
  scheduler.runUntil(200);
  expect(operation.signal.aborted).toBe(false);
});

test("race gives up at the deadline, whatever becomes of the work", async () => {
  const { scheduler, clock } = world();
  const operation = new Operation(clock, "put", {}, 100);
  const late = Promise.withResolvers<string>();
  const raced = operation.race(late.promise);
  scheduler.runUntil(100);
  late.reject(new Error("nobody listens any more"));
  await expect(raced).rejects.toThrow("not done within 100 ms");
  await expect(operation.race(Promise.resolve("too late"))).rejects.toThrow(
    "not done within 100 ms",
  );
  using timely = new Operation(clock, "put", {}, 100);
  await expect(timely.race(Promise.resolve("done"))).resolves.toBe("done");
});

test("sleep wakes on time, or with the signal's reason", async () => {
  const { scheduler, clock } = world();
  const controller = new AbortController();
  let slept = false;
  void sleep(clock, 10).then(() => {
    slept = true;
  });
  scheduler.runUntil(9);
  expect(slept).toBe(false);
  scheduler.runUntil(10);
  expect(slept).toBe(true);
  const cancelled = sleep(clock, 10, controller.signal);
  controller.abort(new Error("enough"));
  await expect(cancelled).rejects.toThrow("enough");
});

test("back-off doubles up to its bound, less a random half", () => {
  const prng = new Prng(1);
  for (let attempt = 0; attempt < 40; attempt++) {
    const full = Math.min(500, 20 * 2 ** attempt);
    const pause = backoffMs(prng, attempt, 20, 500);
    expect(pause).toBeLessThanOrEqual(full);
    expect(pause).toBeGreaterThan(full / 2 - 1e-9);
  }
});
