import { expect } from "bun:test";
import type { Fence, StoredEntry } from "../../../src/store/ports.ts";
import { entry, type FullStore } from "../../contract/world.ts";
import type { Prng } from "../../simulation/world/prng.ts";
import { type LogRow, logRow, semaphoreRow } from "./rows.ts";

/** A table of some database, and what may be written into it behind the store's back. */
export interface Foreign {
  readonly store: FullStore;
  /** Writes a lock's row of any columns that the database takes. */
  lockRow(prng: Prng, name: string): Promise<void>;
  /** Writes a row of the log; false if the database refuses it. */
  logRow(row: LogRow): Promise<boolean>;
}

/** Whoever judges the row may take the lock over, renew it, and write under it. */
async function takeOver({ store }: Foreign, name: string): Promise<Fence> {
  const row = await store.lock.read(name);
  const claim = { expectedToken: row?.token ?? null, watchedBeat: row?.beat };
  const by = { name, writer: "10.0.0.1:8080", leaseMs: 2_000, minAgeMs: 0, ...claim };
  const result = await store.lock.acquire(by);
  if (result.kind !== "acquired") throw new Error(`refused: ${JSON.stringify(row)}`);
  const { token } = result;
  expect(token).toBeGreaterThan(row?.token ?? 0);
  expect(await store.lock.renew(name, token)).toBe("renewed");
  return { name, token };
}

/** Rows of others in all tables, and what goes on beside them. */
export async function roundOf(foreign: Foreign, prng: Prng): Promise<void> {
  const { store } = foreign;
  const name = `lock-${prng.seed}`;
  await foreign.lockRow(prng, name);
  const fence = await takeOver(foreign, name);
  const key = `key-${prng.seed}`;
  const semaphore = `semaphore-${prng.seed}`;
  await store.log.append([entry(key, "good", "value")], fence);
  for (let left = 4; left > 0; left--) {
    await foreign.logRow(logRow(prng, key));
    await foreign.logRow(semaphoreRow(prng, semaphore));
  }
  await store.log.append([entry(key, "also good", "value")], fence);
  const read = await store.log.read(key, -1);
  expect(read.every(isEntry)).toBe(true);
  expect(read.map(({ id }) => id)).toContain("good");
  expect(await store.log.readAfter(key, null, 100)).toEqual(read.toReversed());
  const found = await store.semaphores.read(semaphore);
  const release = found.permits.map(({ owner, grant }) => ({ owner, grant }));
  const drained = { semaphore, limit: 1, release, acquire: [] };
  const beside = { owner: "o", holder: "h:1", incarnation: 1, grant: "g", detached: false };
  const good = { semaphore: `good-${prng.seed}`, limit: 1, release: [], acquire: [beside] };
  expect((await store.semaphores.change([drained, good], fence))[1]).toEqual(["acquired"]);
  expect((await store.semaphores.read(semaphore)).permits).toEqual([]);
}

export function isEntry({ key, id, value, leader, timestamp }: StoredEntry): boolean {
  const texts = [key, id, value, leader].every((text) => typeof text === "string");
  return texts && Number.isSafeInteger(timestamp);
}
