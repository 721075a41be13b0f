import { type SpannerWorld, spannerWorld } from "../contract/spanner-world.ts";
import { connectFull, entry, type FullStore, useWorld } from "../contract/world.ts";
import { HedgerowError } from "../../src/errors.ts";
import type { Fence } from "../../src/store/ports.ts";
import { GoContender } from "./go-contender.ts";
import type { Sql } from "./sql.ts";

/** The lock that both systems contend for. */
export const NAME = "hedge/spindle/lockname/demo";
export const GO_ID = "10.0.0.8:8080";
export const OUR_ID = "10.0.0.9:8080";

/** The lease that the Go system is given. */
export const GO_LEASE_MS = 2_000;

/** A database of both systems, made anew for each test of the block that calls this. */
export function useBoth() {
  let made: SpannerWorld | null = null;
  const handles = useWorld(async () => {
    made = await spannerWorld();
    return made;
  });
  const world = () => {
    if (made === null) throw new Error("outside of a test");
    return made;
  };
  return {
    store: handles.store,
    other: handles.other,
    sql: () => world().sql,
    contender: () => new GoContender(world().sql, { name: NAME, id: GO_ID, leaseMs: GO_LEASE_MS }),
  };
}

/** A database of both systems for one test; disposing closes and drops it. */
export async function openBoth() {
  const world = await spannerWorld();
  const store = await connectFull(world);
  return {
    store,
    sql: world.sql,
    contender: () => new GoContender(world.sql, { name: NAME, id: GO_ID, leaseMs: GO_LEASE_MS }),
    async [Symbol.asyncDispose]() {
      await store.close();
      await world[Symbol.asyncDispose]();
    },
  };
}

/** A timestamp so long ago; the emulator counts the time of this machine. */
export function ago(ms: number): { readonly timestamp: string } {
  return { timestamp: new Date(Date.now() - ms).toISOString() };
}

/** A row of a Go leader that stopped renewing `ageMs` ago, and took the lock over `tokenAgeMs` ago. */
export async function insertGoRow(
  sql: Sql,
  ageMs: number,
  tokenAgeMs = ageMs + 60_000,
): Promise<void> {
  const heartbeat = ago(ageMs);
  const token = ago(tokenAgeMs);
  await sql.execute(
    "insert locktable (name, heartbeat, token, writer) values (@name, @heartbeat, @token, @writer)",
    { name: NAME, heartbeat, token, writer: "10.0.0.7:8080" },
  );
}

/** Lets the heartbeat of the row, whosoever it is, be `ageMs` old. */
export async function ageHeartbeat(sql: Sql, ageMs: number): Promise<void> {
  const heartbeat = ago(ageMs);
  await sql.execute("update locktable set heartbeat = @heartbeat where name = @name", {
    name: NAME,
    heartbeat,
  });
}

let appended = 0;

/** Writes one entry under the fence: "written", or "fenced" where nothing was. */
export async function tryAppend(store: FullStore, fence: Fence): Promise<"written" | "fenced"> {
  const key = `probe-${appended++}`;
  try {
    await store.log.append([entry(key, "1", "v")], fence);
  } catch (error) {
    if (!HedgerowError.is(error, "fenced")) throw error;
    if ((await store.log.read(key, -1)).length > 0) throw new Error("fenced, and written");
    return "fenced";
  }
  if ((await store.log.read(key, -1)).length !== 1) throw new Error("acknowledged, not written");
  return "written";
}

/** The names of all rows of the lock table, in their order. */
export async function rowNames(sql: Sql): Promise<string[]> {
  const rows = await sql.query("select name from locktable order by name");
  return rows.map(([name]) => name ?? "");
}
