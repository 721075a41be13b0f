import { beforeEach, expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { PermitLeases } from "../../src/http/permit-leases.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { fakeNode } from "./fake-node.ts";
import { FakeSemaphore } from "./fake-semaphore.ts";

let clock: ManualClock;
let fake: FakeSemaphore;
let leases: PermitLeases;
beforeEach(() => {
  clock = new ManualClock();
  fake = new FakeSemaphore();
  leases = new PermitLeases(fakeNode({ semaphore: fake.semaphore }), clock);
});

const request = { name: "jobs", limit: 1, owner: "a", waitMs: undefined as number | undefined };

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return HedgerowError.from(error).code;
}

test("a lease is as long as the permit is surely held, thirty seconds at most", async () => {
  fake.heldForMs = 1_234.5;
  expect(await leases.acquire(request, {})).toBe(1_234);
  fake.heldForMs = 55_000;
  expect(await leases.acquire(request, {})).toBe(30_000);
  expect(fake.asked).toEqual(["acquire jobs 1 10000 detached"]);
});

test("it ends by itself, unless the same owner prolongs it", async () => {
  await leases.acquire(request, {});
  clock.pass(900);
  await leases.acquire(request, {});
  clock.pass(900);
  expect(fake.holder).toBe("a");
  clock.pass(100);
  expect(fake.holder).toBeNull();
  expect(await leases.release("jobs", "a")).toBe(false);
  expect(clock.timers.size).toBe(0);
});

test("a release ends it, once", async () => {
  await leases.acquire(request, {});
  expect(await leases.release("jobs", "b")).toBe(false);
  expect(await leases.release("other", "a")).toBe(false);
  expect(await leases.release("jobs", "a")).toBe(true);
  expect([fake.holder, clock.timers.size]).toEqual([null, 0]);
  expect(await leases.release("jobs", "a")).toBe(false);
});

test("another limit is refused, another owner finds it full", async () => {
  await leases.acquire(request, {});
  expect(await codeOf(leases.acquire({ ...request, limit: 2 }, {}))).toBe("other_limit");
  expect(await codeOf(leases.acquire({ ...request, owner: "b" }, {}))).toBe("taken");
});

test("a permit that was lost is taken anew", async () => {
  await leases.acquire(request, {});
  fake.holder = null;
  fake.lost.abort(new HedgerowError("claim_lost", "lost"));
  expect(clock.timers.size).toBe(0);
  await leases.acquire(request, {});
  expect(fake.asked.length).toBe(2);
});

test("the same again while the first is under way finds what came of that", async () => {
  const gate = Promise.withResolvers<void>();
  fake.gate = gate.promise;
  const gone = new AbortController();
  const first = leases.acquire(request, { signal: gone.signal });
  const second = leases.acquire(request, {});
  gate.resolve();
  expect(await Promise.all([first, second])).toEqual([1_000, 1_000]);
  expect(fake.asked.length).toBe(1);
});

test("and asks itself if the first was given up", async () => {
  const gate = Promise.withResolvers<void>();
  fake.gate = gate.promise;
  const gone = new AbortController();
  const first = codeOf(leases.acquire(request, { signal: gone.signal }));
  const second = leases.acquire(request, {});
  gone.abort();
  gate.resolve();
  expect([await first, await second]).toEqual(["canceled", 1_000]);
  expect(fake.asked.length).toBe(2);
});

test("wait: until the call's deadline, for so long, or not at all", async () => {
  const asked = async (waitMs: number | undefined, timeoutMs: number) => {
    await leases.acquire({ ...request, waitMs }, { timeoutMs });
    await leases.release("jobs", "a");
    return fake.asked.at(-1);
  };
  expect(await asked(undefined, 2_000)).toBe("acquire jobs 1 2000 detached");
  expect(await asked(500, 2_000)).toBe("acquire jobs 1 500 detached");
  expect(await asked(5_000, 2_000)).toBe("acquire jobs 1 2000 detached");
  expect(await asked(0, 2_000)).toBe("tryAcquire jobs 1 2000 detached");
});
