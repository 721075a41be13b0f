import { expect, test } from "bun:test";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import { lockRowName } from "../../src/lock/row-name.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { openStore } from "../../src/store/open.ts";
import { ddlStatements } from "../../src/store/spanner/ddl.ts";
import { freshDatabase, GO_SYSTEM_TABLES } from "./database.ts";
import { describeWithEmulator } from "./rule.ts";
import { cliOn, withHost } from "./with-host.ts";

const TABLES = { lockTable: "locktable", logTable: "logtable" };
const LISTENERS = ["--http-addr", "127.0.0.1:0", "--peer-addr", "127.0.0.1:0"];

async function doctor(host: string, path: string) {
  const { code, stdout } = await cliOn(
    host,
    ...["doctor", "--json", "--store", `spanner:${path}`, ...LISTENERS],
  );
  const findings = JSON.parse(stdout) as Finding[];
  return {
    code,
    failed: findings.filter(({ ok }) => !ok).map(({ check }) => check),
    says: new Map(findings.map(({ check, says }) => [check, says])),
  };
}

describeWithEmulator("doctor", () => {
  test("finds a complete database in order", async () => {
    await using database = await freshDatabase(ddlStatements(TABLES));
    const { host, path } = database;
    const { code, failed, says } = await doctor(host, path);
    expect({ code, failed }).toEqual({ code: 0, failed: [] });
    expect([...says.keys()].slice(0, 5)).toEqual([
      ...["emulator", "store", "database clock", "schema", "permissions"],
    ]);
    expect(says.get("emulator")).toBe(`${host}, by SPANNER_EMULATOR_HOST`);
    expect(says.get("store")).toMatch(new RegExp(`^spanner:${path} answers in \\d+ ms$`));
    expect(says.get("database clock")).toMatch(/^\d+ ms from this machine's$/);
    expect(says.get("schema")).toBe("nothing is missing");
    expect(says.get("permissions")).toBe("the emulator has none");
    expect(says.get("peers")).toBe("no other node is known");
  });

  test("takes a database without the index for complete, and says what it would give", async () => {
    await using database = await freshDatabase(GO_SYSTEM_TABLES);
    const { code, says } = await doctor(database.host, database.path);
    expect(code).toBe(0);
    expect(says.get("schema")).toBe(
      `complete; index logtable_by_time would make get faster: run hedgerow schema apply --store spanner:${database.path}`,
    );
  });

  test("tells missing tables and wrong columns, and goes on with what does not need them", async () => {
    await using empty = await freshDatabase([]);
    const found = await doctor(empty.host, empty.path);
    expect(found).toMatchObject({ code: 1, failed: ["schema"] });
    expect(found.says.get("schema")).toBe(
      `the database has no table locktable and no table logtable: run hedgerow schema apply --store spanner:${empty.path}`,
    );
    await using wrong = await freshDatabase([
      "CREATE TABLE locktable (name STRING(MAX), token INT64) PRIMARY KEY (name)",
    ]);
    const { failed, says } = await doctor(wrong.host, wrong.path);
    expect(failed).toEqual(["schema"]);
    expect(says.get("schema")).toStartWith(
      "column token of locktable is INT64 instead of TIMESTAMP: ",
    );
  });

  test("looks whether the leader that the lock names takes connections", async () => {
    await using database = await freshDatabase(ddlStatements(TABLES));
    const { host, path } = database;
    using leader = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    await withHost(host, async () => {
      const runtime = systemRuntime();
      const store = await openStore(`spanner:${path}`, { ...TABLES, runtime });
      await store.lock.acquire({
        name: lockRowName("hedgerow"),
        writer: `127.0.0.1:${leader.port}`,
        expectedToken: null,
        leaseMs: 30_000,
        minAgeMs: 0,
      });
      await store.close();
    });
    const { code, says } = await doctor(host, path);
    expect(code).toBe(0);
    expect(says.get("lease")).toBe(
      `30s; the database does not tell that of 127.0.0.1:${leader.port}, which leads: compare them`,
    );
    expect(says.get("peer")).toBe(`127.0.0.1:${leader.port} takes connections`);
  });
});
