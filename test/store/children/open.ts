/** Opens the file, says whether that went well, and closes it. Arguments: PATH. */
import { HedgerowError } from "../../../src/errors.ts";
import { systemRuntime } from "../../../src/runtime/system.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";

const path = process.argv[2] as string;
try {
  const runtime = systemRuntime();
  const store = await openSqlite({ path, lockTable: "locktable", logTable: "logtable", runtime });
  const entry = { key: "k", id: runtime.random.id(), value: "v", leader: "l:1" };
  await store.log?.append([entry], null);
  await store.close();
  console.log(JSON.stringify({ code: "ok" }));
} catch (error) {
  const { code, message } = HedgerowError.from(error);
  console.log(JSON.stringify({ code, message }));
}
