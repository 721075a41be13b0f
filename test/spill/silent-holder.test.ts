import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import type { ManualClock } from "../rpc/kit/clock.ts";
import { checkAll, pour, until } from "./kit.ts";
import { HOLDER, Keeper, spillBeside } from "./keeper.ts";

const RECORDS = 4_000;
const LIMITS = { memoryBytes: 64 << 10, diskBytes: 1 << 20, expiryMs: 30_000 };

async function spilled() {
  const keeper = new Keeper();
  const { spill, clock } = spillBeside(keeper);
  const store = spill.store("a", LIMITS);
  await pour(store, 0, RECORDS);
  expect(keeper.kept.size).toBeGreaterThan(3);
  return { keeper, spill, clock, store };
}

interface Told {
  readonly error: HedgerowError;
  /** On the test's clock. */
  readonly tookMs: number;
}

/** Reads on from a record, and lets time pass, until the reader is told something. */
async function told(store: SpillStore, clock: ManualClock, from = 0): Promise<Told> {
  const began = clock.now();
  let error: unknown = null;
  const reading = checkAll(store, 100, from).catch((thrown: unknown) => {
    error = thrown;
  });
  await passUntil(clock, () => error !== null);
  await reading;
  return { error: HedgerowError.from(error), tookMs: clock.now() - began };
}

async function passUntil(clock: ManualClock, holds: () => boolean, stepMs = 200): Promise<void> {
  await until(() => {
    clock.pass(stepMs);
    return holds();
  });
}

const silence = (what = "nothing was heard of it") => new HedgerowError("outcome_unknown", what);

test("P3: a holder that stands still for a while is waited for: nothing is lost, and nobody is told", async () => {
  const { keeper, clock, store } = await spilled();
  keeper.failure = silence();
  let read = 0;
  const reading = checkAll(store).then((records) => {
    read = records;
  });
  const goesOnAt = clock.now() + 5_000;
  await passUntil(clock, () => clock.now() > goesOnAt);
  expect(keeper.fetches).toBeGreaterThan(3);
  expect(read).toBe(0);
  keeper.failure = null;
  await passUntil(clock, () => read > 0);
  await reading;
  expect(read).toBe(RECORDS);
  await store.close();
});

test("P3: of a holder that goes on standing still readers are told the range and that it may be there again; what is behind is not waited for", async () => {
  const { keeper, clock, store } = await spilled();
  keeper.failure = silence();
  const first = await told(store, clock);
  expect(first.error.code).toBe("out_of_reach");
  const { from, to } = first.error.lost ?? { from: -1, to: -1 };
  expect(first.error.message).toContain(`records ${from} to ${to - 1} are out of reach`);
  expect(first.error.message).toContain(`${HOLDER}, which does not answer: try again later`);
  expect(first.tookMs).toBeGreaterThanOrEqual(10_000);
  expect(first.tookMs).toBeLessThan(13_000);
  const behind = await told(store, clock, to);
  expect([behind.error.code, behind.error.lost?.from]).toEqual(["out_of_reach", to]);
  expect(behind.tookMs).toBeLessThan(2_000);
  keeper.failure = null;
  clock.pass(6_000); // so long it is not tried
  expect(await checkAll(store)).toBe(RECORDS);
  await store.close();
});

test("P3: what a holder has that was not reached for a whole expiry is lost, for readers and for writers", async () => {
  const { keeper, clock, store } = await spilled();
  await using writer = store.writer(); // which keeps it from expiring
  keeper.failure = silence();
  const { error } = await told(store, clock);
  expect(error.code).toBe("out_of_reach");
  const expires = clock.now() + 2 * LIMITS.expiryMs;
  await passUntil(clock, () => clock.now() > expires, 2_000);
  const later = await told(store, clock, error.lost?.from);
  expect(later.error.code).toBe("data_lost");
  expect(later.error.lost).toEqual(error.lost as NonNullable<typeof error.lost>);
  expect(later.error.message).toContain(HOLDER);
  expect(() => writer.append("x")).toThrow("are lost");
  expect(store.stats().lost).toBeGreaterThan(0);
});

test("P3: members doubt a holder: writers are told that its records are out of reach, and go on once it answers", async () => {
  const { keeper, spill, clock, store } = await spilled();
  await using writer = store.writer();
  keeper.failure = silence();
  spill.addressVacated(HOLDER);
  let error: unknown = null;
  await until(() => {
    try {
      void writer.append("");
    } catch (thrown) {
      error = thrown;
    }
    return error !== null;
  });
  expect(HedgerowError.is(error, "out_of_reach")).toBe(true);
  expect((error as HedgerowError).lost?.from).toBeGreaterThan(0);
  const { tiers, lost, outOfReach } = store.stats();
  expect([lost, outOfReach]).toEqual([0, tiers.remoteDisk.records + tiers.remoteMemory.records]);
  keeper.failure = null;
  spill.memberJoined(HOLDER);
  await until(() => keeper.renewals > 0);
  expect(() => writer.append("")).not.toThrow();
  expect(store.stats().outOfReach).toBe(0);
  await store.close();
  clock.pass(60_000);
});

test("P3: no process listens at the address of one that members have given up: its records are lost, at once", async () => {
  const { keeper, spill, clock, store } = await spilled();
  await using writer = store.writer();
  keeper.failure = silence();
  const reading = checkAll(store).catch((thrown: unknown) => thrown); // which begins to wait
  await until(() => keeper.fetches > 0);
  const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
  keeper.failure = new HedgerowError("unavailable", "it cannot be reached", { cause: refused });
  keeper.members.length = 0;
  const { error, tookMs } = await told(store, clock);
  expect(error.code).toBe("data_lost");
  expect(tookMs).toBeLessThan(2_000);
  expect(HedgerowError.is(await reading, "data_lost")).toBe(true);
  clock.pass(15_000); // the silence before it is not what counts
  const behind = await told(store, clock, error.lost?.to);
  expect(behind.error.code).toBe("data_lost");
  spill.addressVacated(HOLDER);
  await until(() => {
    try {
      return writer.append("") !== undefined;
    } catch (thrown) {
      return HedgerowError.is(thrown, "data_lost");
    }
  });
});

test("P3: a holder that leaves in good order is stopping when it is asked, and gone a moment later: lost, not out of reach", async () => {
  const { keeper, spill, clock, store } = await spilled();
  keeper.members.length = 0;
  keeper.failure = new HedgerowError("stopped", "the node is stopping");
  spill.addressVacated(HOLDER);
  await until(() => store.stats().outOfReach > 0);
  const { outOfReach } = store.stats();
  const refused = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
  keeper.failure = new HedgerowError("unavailable", "it cannot be reached", { cause: refused });
  const goneAt = clock.now();
  await passUntil(clock, () => store.stats().lost > 0);
  expect(clock.now() - goneAt).toBeLessThan(3_000);
  expect(store.stats()).toMatchObject({ lost: outOfReach, outOfReach: 0 });
  expect(() => store.writer().append("x")).toThrow("no process listens there");
});
