import { expect, test } from "bun:test";
import { markerName } from "../../src/store/markers.ts";
import { goMarkerSuffix } from "./go-contender.ts";
import { ago, insertGoRow, NAME, OUR_ID, rowNames, useBoth } from "./go-kit.ts";
import { describeWithEmulator } from "./rule.ts";

const LEASE_MS = 60_000;

describeWithEmulator("markers are cleaned up", () => {
  const { store, sql, contender } = useBoth();

  /** Takes over what is expired or given up; gives the marker that this leaves, and gives the lock up. */
  const takeAndRelease = async (): Promise<string> => {
    const row = await store().lock.read(NAME);
    const expectedToken = row?.token ?? null;
    const takeOver = { name: NAME, writer: OUR_ID, leaseMs: LEASE_MS, minAgeMs: LEASE_MS };
    const result = await store().lock.acquire({ ...takeOver, expectedToken });
    if (result.kind !== "acquired") throw new Error(`refused: ${JSON.stringify(result.row)}`);
    expect(await store().lock.release(NAME, result.token)).toBe("released");
    return markerName(NAME, expectedToken);
  };

  /** Lets the take-over that left this marker be that long ago. */
  const age = (marker: string, ms: number): Promise<string> =>
    sql().execute("update locktable set heartbeat = @at where name = @marker", {
      marker,
      at: ago(ms),
    });

  test("by the first take-over that comes two leases after theirs", async () => {
    await insertGoRow(sql(), 10 * LEASE_MS);
    const first = await takeAndRelease();
    const second = await takeAndRelease();
    const third = await takeAndRelease();
    expect(await rowNames(sql())).toEqual([NAME, first, second, third].toSorted());
    await age(first, 2 * LEASE_MS);
    await age(second, 1.9 * LEASE_MS);
    const fourth = await takeAndRelease();
    expect(await rowNames(sql())).toEqual([NAME, second, third, fourth].toSorted());
  });

  test("those of the Go system once the row's token, which came after them, is as old", async () => {
    const old = `${NAME}_${goMarkerSuffix("2025-01-02T03:04:05Z")}`;
    for (const [tokenAgeMs, stays] of [
      [1.9 * LEASE_MS, true],
      [2 * LEASE_MS, false],
    ] as const) {
      await sql().execute("delete from locktable where true");
      await sql().execute("insert locktable (name) values (@old)", { old });
      await insertGoRow(sql(), tokenAgeMs, tokenAgeMs);
      const marker = await takeAndRelease();
      const expected = stays ? [NAME, old, marker] : [NAME, marker];
      expect(await rowNames(sql())).toEqual(expected.toSorted());
      expect(await contender().locked()).toBe(false);
    }
  });

  test("L3: what only looks like a marker stays", async () => {
    await insertGoRow(sql(), 10 * LEASE_MS);
    const locks = ["_canary", "_123", "_10421133356497209798", "_", "_7_7", "2", "_canary_5"].map(
      (suffix) => NAME + suffix,
    );
    const others = ["_12x", "_999999999999999999999", "_canary_42", "x_42", "_ 42", "_٣"].map(
      (suffix) => NAME + suffix,
    );
    for (const name of locks) {
      await sql().execute(
        "insert locktable (name, heartbeat, token, writer) values (@name, @at, @at, 'w:1')",
        { name, at: { timestamp: "2025-01-02T03:04:05Z" } },
      );
    }
    for (const name of others) {
      await sql().execute("insert locktable (name) values (@name)", { name });
    }
    await age(await takeAndRelease(), 3 * LEASE_MS);
    const second = await takeAndRelease();
    expect(await rowNames(sql())).toEqual([NAME, second, ...locks, ...others].toSorted());
  });
});
