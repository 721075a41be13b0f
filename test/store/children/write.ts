/** Appends for ever, and prints the number of each entry once it is acknowledged. Arguments: PATH KEY. */
import { systemRuntime } from "../../../src/runtime/system.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";

const [, , path = "", key = ""] = process.argv;
const runtime = systemRuntime();
const store = await openSqlite({ path, lockTable: "locktable", logTable: "logtable", runtime });
for (let n = 0; ; n++) {
  const entry = { key, id: `id-${n}`, value: `${n}`.padEnd(500), leader: "l:1" };
  await store.log?.append([entry], null);
  process.stdout.write(`${n}\n`);
}
