import { expect, test } from "bun:test";
import { systemRuntime } from "../../src/runtime/system.ts";

const { clock, random } = systemRuntime();

test("now is the boot's clock: it agrees with the kernel's uptime", async () => {
  const uptime = Number((await Bun.file("/proc/uptime").text()).split(" ")[0]) * 1e3;
  // Suspended time counts in now and not in every kernel's uptime: never behind.
  expect(clock.now()).toBeGreaterThan(uptime - 1_000);
});

test("now never goes back, and moves in less than a microsecond's steps of milliseconds", () => {
  let last = clock.now();
  const steps: number[] = [];
  for (let i = 0; i < 10_000; i++) {
    const now = clock.now();
    expect(now).toBeGreaterThanOrEqual(last);
    if (now > last) steps.push(now - last);
    last = now;
  }
  expect(Math.min(...steps)).toBeLessThan(0.01);
});

test("the wall clock is the system's, in whole microseconds", () => {
  const before = Date.now() * 1e3;
  const micros = clock.wallMicros();
  expect(Number.isSafeInteger(micros)).toBe(true);
  expect(micros).toBeGreaterThanOrEqual(before - 1_000);
  expect(micros).toBeLessThan((Date.now() + 1) * 1e3 + 1_000);
});

test("timers fire no sooner than asked, 0 fires soon, a cancelled one never", async () => {
  const from = clock.now();
  await new Promise<void>((resolve) => clock.schedule(20, resolve));
  expect(clock.now() - from).toBeGreaterThanOrEqual(19);
  let cancelled = true;
  clock
    .schedule(0, () => {
      cancelled = false;
    })
    .cancel();
  await new Promise<void>((resolve) => clock.schedule(0, resolve));
  expect(cancelled).toBe(true);
});

test("0 gives way to what else is due", async () => {
  let isDone = false;
  setImmediate(() => {
    isDone = true;
  });
  await new Promise<void>((resolve) => clock.schedule(0, resolve));
  expect(isDone).toBe(true);
});

test("ids are ULIDs that never repeat and sort by time", async () => {
  const ids = Array.from({ length: 10_000 }, () => random.id());
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
  const [first = ""] = ids;
  await new Promise<void>((resolve) => clock.schedule(5, resolve));
  expect(random.id() > first).toBe(true);
});
