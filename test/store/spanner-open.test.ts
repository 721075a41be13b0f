import { expect, test } from "bun:test";
import { tablesOf } from "../../src/store/spanner/ddl.ts";
import { openSpanner } from "../../src/store/spanner/open.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { entry } from "../contract/world.ts";
import { expectCode } from "../contract/errors.ts";
import { COMMIT_MICROS, FakeSpanner, outcome, settled } from "./spanner-fake.ts";

const TABLES = { lockTable: "locktable", logTable: "logtable" };
const FENCE = { name: "l", token: 1_767_323_045_678_901 };

/** What the information schema says of tables as they must be. */
const columns = tablesOf(TABLES).flatMap(({ name: table, columns, primaryKey }) =>
  columns.map(({ name, type, notNull }) => {
    const place = primaryKey.indexOf(name);
    const texts = [table, name, type].map((stringValue) => ({ stringValue }));
    const flags = [!notNull, false, type === "TIMESTAMP"].map((boolValue) => ({ boolValue }));
    const keyPlace = place < 0 ? { nullValue: "NULL_VALUE" } : { stringValue: `${place + 1}` };
    return { values: [...texts, ...flags, keyPlace] };
  }),
);

/** A store, and each client that it has made, in that order. */
async function open() {
  const clock = new ManualClock();
  const made: FakeSpanner[] = [];
  const make = async () => {
    const spanner = new FakeSpanner(clock);
    if (made.length === 0) spanner.next("executeSql", { answer: { rows: columns } });
    made.push(spanner);
    return spanner.client;
  };
  const options = { path: "projects/p/instances/ii/databases/dd", ...TABLES, emulatorHost: null };
  const runtime = { clock, random: { next: () => 0, id: () => "id" } };
  const { lock, log, close } = await openSpanner({ ...options, runtime }, make).then((store) => ({
    lock: store.lock,
    log: store.log,
    close: () => store.close(),
  }));
  if (log === null) throw new Error("no log");
  return { lock, log, close, made, clock };
}

test("the lock has a client of its own, on which nothing of the log is asked", async () => {
  const { lock, log, close, made } = await open();
  expect(made.length).toBe(2);
  const [ofLock, ofLog] = made as [FakeSpanner, FakeSpanner];
  expect(ofLog.calls).toEqual([]);
  const { length } = ofLock.calls;
  // As many as can be, and more that wait.
  ofLog.onCall = ({ method }) => (method === "executeSql" ? "silence" : undefined);
  for (let n = 0; n < 100; n++) log.read(`k${n}`, 1).catch(() => {}); // by close
  await settled();
  expect(ofLock.calls.length).toBe(length);
  const asked = ofLog.calls.length;
  expect(await outcome(lock.renew(FENCE.name, FENCE.token))).toBe("renewed");
  expect(ofLog.calls.length).toBe(asked);
  await close();
  expect(made.map(({ closed }) => closed)).toEqual([true, true]);
});

test("a renewal does not wait for a write of unknown outcome; the next write does", async () => {
  const { lock, log, made, clock } = await open();
  for (const spanner of made) {
    spanner.next("commit", "silence");
    spanner.onCall = ({ method }) => (method === "rollback" ? "silence" : undefined);
  }
  const options = { timeoutMs: 50 };
  const unknown = [
    expectCode(log.append([entry("k", "1", "v")], FENCE, options), "outcome_unknown"),
    expectCode(lock.renew(FENCE.name, FENCE.token, options), "outcome_unknown"),
  ];
  await settled();
  clock.pass(50);
  await Promise.all(unknown);
  expect(await outcome(lock.renew(FENCE.name, FENCE.token))).toBe("renewed");
  const append = log.append([entry("k", "2", "v")], FENCE);
  expect(await outcome(append)).toBe("pending");
  made[1]?.last("rollback").answer();
  expect(await append).toEqual([{ kind: "written", timestamp: COMMIT_MICROS }]);
});
