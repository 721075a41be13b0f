/**
 * Takes the lock `shared` from whoever has it and writes under it, so many times, as fast as it can.
 * Arguments: PATH NAME ROUNDS. Prints one line of JSON: the entries acknowledged, and each call's milliseconds.
 */
import { HedgerowError } from "../../../src/errors.ts";
import { systemRuntime } from "../../../src/runtime/system.ts";
import type { LogStore, Store } from "../../../src/store/ports.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";

const [, , path = "", name = "", rounds = ""] = process.argv;
const runtime = systemRuntime();
const tables = { lockTable: "locktable", logTable: "logtable" };
const store = (await openSqlite({ path, ...tables, runtime })) as Store & { log: LogStore };
const acknowledged: string[] = [];
const tokens: number[] = [];
const elapsedMs: number[] = [];

async function timed<T>(call: () => Promise<T>): Promise<T> {
  const start = performance.now();
  const result = await call();
  elapsedMs.push(performance.now() - start);
  return result;
}

for (let round = 0; round < Number(rounds); round++) {
  const row = await timed(() => store.lock.read("shared"));
  const takeOver = { writer: name, expectedToken: row?.token ?? null, leaseMs: 2_000, minAgeMs: 0 };
  const taken = await timed(() => store.lock.acquire({ ...takeOver, name: "shared" }));
  if (taken.kind === "refused") continue;
  tokens.push(taken.token);
  const fence = { name: "shared", token: taken.token };
  const id = `${name}-${round}`;
  const entries = [
    { key: "history", id, value: `${taken.token}`, leader: name },
    ...Array.from({ length: 20 }, (_, n) => ({ key: `${name}/${n}`, id, value: id, leader: name })),
  ];
  try {
    await timed(() => store.log.append(entries, fence));
    acknowledged.push(id);
  } catch (error) {
    if (!HedgerowError.is(error, "fenced")) throw error;
  }
}
await store.close();
console.log(JSON.stringify({ acknowledged, tokens, elapsedMs }));
