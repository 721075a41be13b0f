import { expect, test } from "bun:test";
import { GO_ID, GO_LEASE_MS, NAME, OUR_ID, useBoth } from "./go-kit.ts";
import { GoLog } from "./go-log.ts";
import { describeWithEmulator } from "./rule.ts";

/** Microseconds since the epoch of a timestamp as Spanner writes it. */
function micros(timestamp: string): number {
  const [seconds = "", fraction = ""] = timestamp.replace("Z", "").split(".");
  return Date.parse(`${seconds}Z`) * 1_000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

describeWithEmulator("rows of the Go system, and ours", () => {
  const { store, other, sql, contender } = useBoth();
  const go = () => new GoLog(sql(), GO_ID);

  /** Leads, so that writes of ours are taken. */
  const lead = async () => {
    const takeOver = { name: NAME, writer: OUR_ID, leaseMs: GO_LEASE_MS };
    const judged = { ...takeOver, expectedToken: null, minAgeMs: 0 };
    const result = await store().lock.acquire(judged);
    if (result.kind !== "acquired") throw new Error("the lock is held");
    return { name: NAME, token: result.token };
  };

  test("its history is read in its order, whatever the limit", async () => {
    const times: number[] = [];
    for (const value of ["a", "b", "c"]) times.push(micros(await go().put("k", value)));
    const [a, b, c] = times.map((timestamp, i) => ({ value: "abc"[i], timestamp, leader: GO_ID }));
    const { log } = other();
    expect(await log.read("k", 0)).toMatchObject([c as object]);
    expect(await log.read("k", -1)).toMatchObject([c, b, a] as object[]);
    expect(await log.read("k", -2)).toMatchObject([a as object]);
    expect(await log.read("k", 2)).toMatchObject([c, b] as object[]);
  });

  test("its noAppend row is the newest when it was written last, and one of the history later", async () => {
    await go().put("k", "appended");
    await go().put("k", "replaced", { noAppend: true });
    await go().put("k", "newest", { noAppend: true });
    const read = async () => (await store().log.read("k", -1)).map(({ id, value }) => [id, value]);
    expect(await read()).toEqual([
      ["-", "newest"],
      [expect.any(String), "appended"],
    ]);
    await go().put("k", "after");
    expect((await read()).map(([, value]) => value)).toEqual(["after", "newest", "appended"]);
    await store().log.append([{ key: "k", id: "-", value: "ours", leader: OUR_ID }], null);
    expect((await go().get("k", -1)).map(({ value }) => value)).toEqual([
      "ours",
      "after",
      "appended",
    ]);
  });

  test("rows without a timestamp are no versions for either", async () => {
    await go().put("k", "v");
    await sql().execute("insert logtable (key, id, value) values ('k', 'no-time', 'lost')");
    for (const limit of [0, -1, -2, 5]) {
      expect((await store().log.read("k", limit)).map(({ value }) => value)).toEqual(["v"]);
      expect((await go().get("k", limit)).map(({ value }) => value)).toEqual(["v"]);
    }
  });

  test("our history is what its queries give", async () => {
    const fence = await lead();
    const times: number[] = [];
    for (const [id, value] of [
      ["1", "a"],
      ["2", "b"],
      ["3", "c"],
    ] as const) {
      const entry = { key: "k", id, value, leader: OUR_ID };
      const [outcome] = await store().log.append([entry], fence);
      if (outcome?.kind !== "written") throw new Error("not written");
      times.push(outcome.timestamp);
    }
    const values = async (limit: number) =>
      (await go().get("k", limit)).map(({ value, timestamp }) => [value, micros(timestamp)]);
    const [a, b, c] = times.map((time, i) => ["abc"[i], time] as [string, number]);
    expect(await values(0)).toEqual([c] as [string, number][]);
    expect(await values(-1)).toEqual([c, b, a] as [string, number][]);
    expect(await values(-2)).toEqual([a] as [string, number][]);
    expect(await values(2)).toEqual([c, b] as [string, number][]);
  });

  test("our lock's row is a leader to it, and its row is one to us", async () => {
    const { token } = await lead();
    const seen = await contender().leader();
    expect(seen.writer).toBe(OUR_ID);
    expect(micros(seen.token)).toBe(token);
    const { diffMs } = await contender().check();
    expect(diffMs).toBeLessThan(GO_LEASE_MS);

    await sql().execute("delete from locktable where true");
    const first = contender();
    expect(await first.insertFirst()).toBe(true);
    const row = await store().lock.read(NAME);
    expect(row).toMatchObject({ writer: GO_ID, token: micros(first.token), leaseMs: null });
    expect(row?.ageMs).toBeGreaterThanOrEqual(0);
    expect(row?.ageMs).toBeLessThan(GO_LEASE_MS);
  });

  test("rows of an older Go system, without writer or token, are read", async () => {
    await sql().execute(
      `insert locktable (name, heartbeat, token) values ('${NAME}', PENDING_COMMIT_TIMESTAMP(), PENDING_COMMIT_TIMESTAMP())`,
    );
    expect(await store().lock.read(NAME)).toMatchObject({ writer: "" });
    await sql().execute("insert locktable (name) values ('bare')");
    const bare = await store().lock.read("bare");
    expect(bare).toMatchObject({ writer: "", token: 0 });
    const takeOver = { name: "bare", writer: OUR_ID, leaseMs: GO_LEASE_MS, minAgeMs: 1_000 };
    expect(await store().lock.acquire({ ...takeOver, expectedToken: 0 })).toMatchObject({
      kind: "acquired",
    });
  });

  test("permits of both count together, and the last one takes its semaphore with it", async () => {
    const fence = await lead();
    const { semaphores } = store();
    await go().createSemaphore("s", 2, GO_ID);
    const ours = { owner: OUR_ID, holder: OUR_ID, incarnation: 7, grant: "g", detached: false };
    const nothing = { semaphore: "s", limit: 2, release: [], acquire: [] };
    const take = async (limit: number, permit = ours) =>
      (await semaphores.change([{ ...nothing, limit, acquire: [permit] }], fence))[0];
    const giveBack = (owner: string, grant: string) =>
      semaphores.change([{ ...nothing, release: [{ owner, grant }] }], fence);
    expect(await take(3)).toEqual(["other-limit"]);
    expect((await semaphores.read("s")).limit).toBe(2);

    expect(await go().acquire("s", GO_ID)).toBe("acquired");
    expect(await take(2)).toEqual(["acquired"]);
    expect(await go().acquire("s", OUR_ID)).toBe("already acquired");
    expect(await go().acquire("s", "10.0.0.1:8080")).toBe("full");
    expect(await take(2, { ...ours, owner: "10.0.0.1:8080" })).toEqual(["full"]);
    expect(await take(2, { ...ours, owner: GO_ID })).toEqual(["held"]);
    const gos = { owner: GO_ID, holder: GO_ID, incarnation: 0, grant: "", detached: false };
    expect((await semaphores.read("s")).permits).toEqual([gos, ours]);
    expect((await go().holders("s")).toSorted()).toEqual([GO_ID, OUR_ID].toSorted());

    await giveBack(GO_ID, "");
    expect(await go().holders("s")).toEqual([OUR_ID]);
    await go().release("s", OUR_ID);
    expect((await semaphores.read("s")).permits).toEqual([]);
    expect(await go().readSemaphore("s")).toBeNull();
  });

  test("a semaphore of ours is one to it, also with another limit once it is drained", async () => {
    const fence = await lead();
    const { semaphores } = store();
    const ours = { owner: OUR_ID, holder: OUR_ID, incarnation: 7, grant: "g", detached: false };
    const change = { semaphore: "s", limit: 2, release: [], acquire: [ours] };
    expect(await semaphores.change([change], fence)).toEqual([["acquired"]]);
    expect(await go().readSemaphore("s")).toEqual({ limit: 2, value: "delete-on-empty" });
    expect(await go().acquire("s", GO_ID)).toBe("acquired");
    const back = [ours, { owner: GO_ID, grant: "" }];
    await semaphores.change([{ ...change, release: back, acquire: [] }], fence);
    expect(await go().readSemaphore("s")).toBeNull();
    await semaphores.change([{ ...change, limit: 5 }], fence);
    expect((await go().readSemaphore("s"))?.limit).toBe(5);
  });
});
