import { expect, test } from "bun:test";
import { systemRuntime } from "../../src/runtime/system.ts";
import { openStore } from "../../src/store/open.ts";
import { changeSchema, freshDatabase, GO_SYSTEM_TABLES } from "./database.ts";
import { describeWithEmulator } from "./rule.ts";
import { withHost } from "./with-host.ts";

const runtime = systemRuntime();

describeWithEmulator("ping", () => {
  test("names each table that was dropped, and what makes it, until it is there again", async () => {
    const [createLock, createLog] = GO_SYSTEM_TABLES.map((sql) =>
      sql.replace("logtable", "mylog"),
    ) as [string, string];
    await using database = await freshDatabase([createLock, createLog]);
    const tables = { lockTable: "locktable", logTable: "mylog" };
    const open = () => openStore(`spanner:${database.path}`, { ...tables, runtime });
    const store = await withHost(database.host, open);
    await using _closed = { [Symbol.asyncDispose]: () => store.close() };
    const says = (missing: string) => ({
      code: "store_failed",
      message: `spanner:${database.path} has ${missing}: run hedgerow schema apply --store spanner:${database.path} --log-table mylog`,
    });
    await store.ping();
    await changeSchema(database, "DROP TABLE mylog");
    await expect(store.ping()).rejects.toMatchObject(says("no table mylog"));
    await changeSchema(database, "DROP TABLE locktable");
    await expect(store.ping()).rejects.toMatchObject(says("no table locktable and no table mylog"));
    await changeSchema(database, createLock, createLog);
    await store.ping();
  });

  test("needs no log's table where there is no log", async () => {
    await using database = await freshDatabase(GO_SYSTEM_TABLES.slice(0, 1));
    const tables = { lockTable: "locktable", logTable: "" };
    const open = () => openStore(`spanner:${database.path}`, { ...tables, runtime });
    const store = await withHost(database.host, open);
    await store.ping();
    await store.close();
  });
});
