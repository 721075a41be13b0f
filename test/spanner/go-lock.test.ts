import { describe, expect, test } from "bun:test";
import type { LockRow, TakeOver } from "../../src/store/ports.ts";
import { finish, GO_STEPS, type GoStep, goMarkerSuffix, goOnUntil } from "./go-contender.ts";
import {
  ageHeartbeat,
  GO_ID,
  GO_LEASE_MS,
  insertGoRow,
  NAME,
  OUR_ID,
  rowNames,
  tryAppend,
  useBoth,
} from "./go-kit.ts";
import { describeWithEmulator } from "./rule.ts";

const EXPIRED_MS = 60_000;
const MIN_AGE_MS = 2_500;
/** Go's marker is committed, and its row is not: it has won, and ours cannot know whether it lives. */
const STRANDED: readonly GoStep[] = ["committed the marker", "updated the row"];
/** Nothing is committed: of two who judged the same token the first to commit its marker wins. */
const UNDECIDED: readonly GoStep[] = ["read the token", "inserted the marker"];

describeWithEmulator("L14: one lock with the Go system", () => {
  const { store, other, sql, contender } = useBoth();

  const takeOver = (row: LockRow | null, watchedBeat?: string): TakeOver => ({
    name: NAME,
    writer: OUR_ID,
    leaseMs: GO_LEASE_MS,
    expectedToken: row?.token ?? null,
    minAgeMs: MIN_AGE_MS,
    watchedBeat,
  });

  /** Takes the lock over as a contender that has watched the row long enough; gives the token. */
  const take = async (watched = true): Promise<number> => {
    const row = await store().lock.read(NAME);
    const result = await store().lock.acquire(takeOver(row, watched ? row?.beat : undefined));
    if (result.kind !== "acquired") throw new Error(`refused: ${JSON.stringify(result.row)}`);
    return result.token;
  };

  describe("the Go contender pauses, and ours takes over meanwhile", () => {
    test("after it checked the lock: it goes by what it saw, and ours notices", async () => {
      await insertGoRow(sql(), EXPIRED_MS);
      const attempt = contender().attempt();
      await goOnUntil(attempt, "checked the lock");
      const fence = { name: NAME, token: await take(false) };
      expect(await store().lock.renew(NAME, fence.token)).toBe("renewed");
      // It reads the token only now, and inserts the marker of ours, which nobody else has inserted.
      expect(await finish(attempt)).toBe(true);
      expect(await tryAppend(store(), fence)).toBe("fenced");
      expect(await store().lock.renew(NAME, fence.token)).toBe("lost");
    });

    test.each(UNDECIDED)("after it %s: ours wins, and stays", async (step) => {
      await insertGoRow(sql(), EXPIRED_MS);
      const attempt = contender().attempt();
      await goOnUntil(attempt, step);
      const token = await take(false);
      expect(await finish(attempt)).toBe(false);
      expect(await contender().locked()).toBe(true);
      expect(await store().lock.renew(NAME, token)).toBe("renewed");
      expect(await tryAppend(store(), { name: NAME, token })).toBe("written");
    });

    test.each(STRANDED)("after it %s: ours waits, wins, and loses to its update", async (step) => {
      await insertGoRow(sql(), EXPIRED_MS);
      const before = await store().lock.read(NAME);
      const go = contender();
      const attempt = go.attempt();
      await goOnUntil(attempt, step);

      const row = await store().lock.read(NAME);
      expect(row).toMatchObject({ token: before?.token, ageMs: null });
      expect(await store().lock.acquire(takeOver(row))).toEqual({ kind: "refused", row });
      const outdated = takeOver(row, before?.beat);
      expect(await store().lock.acquire(outdated)).toEqual({ kind: "refused", row });

      const fence = { name: NAME, token: await take() };
      expect(await tryAppend(store(), fence)).toBe("written");
      expect(await finish(attempt)).toBe(true);
      expect(await tryAppend(store(), fence)).toBe("fenced");
      expect(await store().lock.renew(NAME, fence.token)).toBe("lost");
      expect(await store().lock.release(NAME, fence.token)).toBe("lost");
      expect(await go.leader()).toEqual({ token: go.token, writer: GO_ID });
      expect((await store().lock.read(NAME))?.ageMs).toBeLessThan(MIN_AGE_MS);
    });

    test("after it committed the row: the lock is its own", async () => {
      await insertGoRow(sql(), EXPIRED_MS);
      expect(await finish(contender().attempt())).toBe(true);
      const row = await store().lock.read(NAME);
      expect(row).toMatchObject({ writer: GO_ID });
      expect(await store().lock.acquire(takeOver(row))).toMatchObject({ kind: "refused" });
    });
  });

  test("ours pauses over its lease, and writes between all steps of the Go contender", async () => {
    const fence = { name: NAME, token: await take() };
    await ageHeartbeat(sql(), EXPIRED_MS);
    const go = contender();
    const attempt = go.attempt();
    for (const step of GO_STEPS) {
      await goOnUntil(attempt, step);
      const holds = step !== "committed the row";
      expect(await tryAppend(other(), fence), step).toBe(holds ? "written" : "fenced");
    }
    expect(await finish(attempt)).toBe(true);
    expect(await store().lock.renew(NAME, fence.token)).toBe("lost");
    expect(await go.locked()).toBe(true);
  });

  test("ours renews late, between the marker and the update: it is lost at the next renewal", async () => {
    const token = await take();
    await ageHeartbeat(sql(), EXPIRED_MS);
    const attempt = contender().attempt();
    await goOnUntil(attempt, "committed the marker");
    expect(await store().lock.renew(NAME, token)).toBe("renewed");
    expect(await finish(attempt)).toBe(true);
    expect(await store().lock.renew(NAME, token)).toBe("lost");
  });

  test("a row that is renewed under a stranded marker is not taken over", async () => {
    await insertGoRow(sql(), EXPIRED_MS);
    await goOnUntil(contender().attempt(), "committed the marker");
    const watched = await store().lock.read(NAME);
    await ageHeartbeat(sql(), EXPIRED_MS - 1);
    const result = await store().lock.acquire(takeOver(watched, watched?.beat));
    expect(result).toMatchObject({ kind: "refused" });
  });

  test("a marker that was deleted while it was watched is another row to watch", async () => {
    await insertGoRow(sql(), 1_000);
    const { token } = await contender().leader();
    const marker = `${NAME}_${goMarkerSuffix(token)}`;
    await sql().execute("insert locktable (name) values (@marker)", { marker });
    const watched = await store().lock.read(NAME);
    await sql().execute("delete from locktable where name = @marker", { marker });
    const result = await store().lock.acquire(takeOver(watched, watched?.beat));
    expect(result).toMatchObject({ kind: "refused" });
  });

  test("a lock that was given up is free for the Go contender at once, and fenced for us", async () => {
    const token = await take();
    expect(await finish(contender().attempt())).toBe(false);
    expect(await store().lock.release(NAME, token)).toBe("released");
    const go = contender();
    expect(await finish(go.attempt())).toBe(true);
    expect(await go.leader()).toEqual({ token: go.token, writer: GO_ID });
    expect(await tryAppend(store(), { name: NAME, token })).toBe("fenced");
  });

  test("L4: without a row ours takes the lock past a marker of no row", async () => {
    const attempt = contender().attempt();
    await goOnUntil(attempt, "committed the marker");
    expect(await rowNames(sql())).toEqual([`${NAME}_17241709254077376921`]);
    const token = await take(false);
    expect(await tryAppend(store(), { name: NAME, token })).toBe("written");
    await finish(attempt);
    expect(await store().lock.renew(NAME, token)).toBe("lost");
    expect(await tryAppend(store(), { name: NAME, token })).toBe("fenced");
    await ageHeartbeat(sql(), EXPIRED_MS);
    expect(await take(false)).toBeGreaterThan(token);
  });

  test("of both at once for a lock without a row one wins", async () => {
    for (let i = 0; i < 5; i++) {
      await sql().execute("delete from locktable where true");
      const go = contender();
      const [first, ours] = await Promise.all([
        go.insertFirst(),
        store().lock.acquire(takeOver(null)),
      ]);
      expect(first).toBe(ours.kind === "refused");
      expect((await go.leader()).writer).toBe(first ? GO_ID : OUR_ID);
    }
  });

  test("a Go leader's late heartbeat, and its deleting of markers, changes nothing of ours", async () => {
    await insertGoRow(sql(), EXPIRED_MS);
    const fence = { name: NAME, token: await take() };
    await contender().heartbeat();
    expect(await rowNames(sql())).toEqual([NAME]);
    expect(await store().lock.read(NAME)).toMatchObject({ token: fence.token, writer: OUR_ID });
    expect(await store().lock.renew(NAME, fence.token)).toBe("renewed");
    expect(await tryAppend(store(), fence)).toBe("written");
    await store().lock.release(NAME, fence.token);
    expect(await take(false)).toBeGreaterThan(fence.token);
  });
});
