import { expect, test } from "bun:test";
import { DatabaseAdminClient } from "@google-cloud/spanner/build/src/v1/index.js";
import { systemRuntime } from "../../src/runtime/system.ts";
import { openStore } from "../../src/store/open.ts";
import { ddlStatements } from "../../src/store/spanner/ddl.ts";
import { RESERVED_WORDS } from "../../src/store/spanner/reserved-words.ts";
import { freePorts } from "../cli/process-kit.ts";
import {
  changeSchema,
  deleteInstance,
  emulatorOptions,
  freshDatabase,
  GO_SYSTEM_TABLES,
} from "./database.ts";
import { sharedEmulator } from "./emulator.ts";
import { describeWithEmulator } from "./rule.ts";
import { Sql } from "./sql.ts";
import { cliOn, withHost } from "./with-host.ts";

const TABLES = { lockTable: "locktable", logTable: "logtable" };
const runtime = systemRuntime();

let named = 0;
/** A path that nobody has used, of an instance that is new too, and deleted when done. */
async function unused() {
  const instance = `projects/hedgerow/instances/apply-${process.pid}-${named++}`;
  const host = await sharedEmulator();
  return {
    path: `${instance}/databases/db`,
    [Symbol.asyncDispose]: () => deleteInstance(host, instance),
  };
}

async function apply(path: string, ...flags: string[]) {
  return cliOn(await sharedEmulator(), "schema", "apply", "--store", `spanner:${path}`, ...flags);
}

async function open(path: string, tables = TABLES): Promise<void> {
  await withHost(await sharedEmulator(), async () => {
    const store = await openStore(`spanner:${path}`, { ...tables, runtime });
    await store.close();
  });
}

const NOTHING = (path: string) => ({
  code: 0,
  stdout: `nothing is missing in spanner:${path}\n`,
  stderr: "",
});

describeWithEmulator("schema apply", () => {
  test("makes all from nothing, then finds nothing missing, and a node can start", async () => {
    await using database = await unused();
    const { path } = database;
    const [, , , instance] = path.split("/");
    expect(await apply(path)).toEqual({
      code: 0,
      stdout: `added instance ${instance}\nadded database db\nadded table locktable\nadded table logtable\nadded index logtable_by_time\n`,
      stderr: "",
    });
    expect(await apply(path)).toEqual(NOTHING(path));
    expect((await apply(path, "--json")).stdout).toBe("[]\n");
    await open(path);
  });

  test("makes what schema print shows", async () => {
    await using database = await freshDatabase(ddlStatements(TABLES));
    expect(await apply(database.path)).toEqual(NOTHING(database.path));
  });

  test("a database of the Go system works as it is, and gets the index", async () => {
    await using database = await freshDatabase(GO_SYSTEM_TABLES);
    await open(database.path);
    expect(JSON.parse((await apply(database.path, "--json")).stdout)).toEqual([
      "index logtable_by_time",
    ]);
    await using sql = new Sql(database.host, database.path);
    const columns = await sql.query(
      `SELECT COLUMN_NAME, COLUMN_ORDERING FROM INFORMATION_SCHEMA.INDEX_COLUMNS
       WHERE INDEX_NAME = 'logtable_by_time' ORDER BY ORDINAL_POSITION`,
    );
    expect(columns).toEqual([
      ["key", "ASC"],
      ["timestamp", "DESC"],
    ]);
  });

  test("without a log there is the lock's table alone, under the name that is given", async () => {
    await using database = await freshDatabase([]);
    const flags = ["--lock-table", "My_Lock", "--log-table", ""];
    expect((await apply(database.path, ...flags)).stdout).toBe("added table My_Lock\n");
    // Spanner takes small letters for capital ones.
    expect((await apply(database.path, "--lock-table", "my_lock", "--log-table", "")).stdout).toBe(
      NOTHING(database.path).stdout,
    );
    await open(database.path, { lockTable: "my_lock", logTable: "" });
  });

  test("adds tables, columns and options to what is there, and leaves the rest", async () => {
    await using database = await freshDatabase([
      `CREATE TABLE LockTable (name STRING(1068) NOT NULL, token TIMESTAMP, note STRING(9))
       PRIMARY KEY (name)`,
    ]);
    await using sql = new Sql(database.host, database.path);
    await sql.readWrite((transaction) =>
      transaction.execute("INSERT LockTable (name, note) VALUES ('other', 'stays')"),
    );
    expect((await apply(database.path)).stdout).toBe(
      [
        "added column heartbeat of LockTable",
        "added allow_commit_timestamp of column token of LockTable",
        "added column writer of LockTable",
        "added table logtable",
        "added index logtable_by_time",
        "",
      ].join("\n"),
    );
    expect(await sql.query("SELECT note FROM LockTable")).toEqual([["stays"]]);
    await open(database.path);
  });

  test("a table of another kind is left alone, and told in one line", async () => {
    await using database = await freshDatabase([
      "CREATE TABLE locktable (name STRING(MAX), writer INT64) PRIMARY KEY (name)",
    ]);
    const says = `spanner:${database.path}: column writer of locktable is INT64 instead of STRING(MAX): name another table with --lock-table, or drop this one if nobody needs it`;
    expect(await apply(database.path)).toEqual({
      code: 1,
      stdout: "",
      stderr: `hedgerow schema apply: ${says}\n`,
    });
    await expect(open(database.path)).rejects.toMatchObject({
      code: "store_failed",
      message: says,
    });
    await using sql = new Sql(database.host, database.path);
    expect(
      await sql.query("SELECT 1 FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = 'logtable'"),
    ).toEqual([]);
  });

  test("texts without room, and an index of another kind, are told with what mends them", async () => {
    await using database = await freshDatabase([
      `CREATE TABLE locktable (name STRING(50) NOT NULL, heartbeat TIMESTAMP NOT NULL)
       PRIMARY KEY (name)`,
      "CREATE INDEX logtable_by_time ON locktable (heartbeat)",
    ]);
    const { code, stderr } = await apply(database.path);
    expect(code).toBe(1);
    const mends = [...stderr.matchAll(/: run (.*?)(?:, or| if)/g)].map(
      ([, mend]) => mend as string,
    );
    expect(mends).toEqual([
      "ALTER TABLE locktable ALTER COLUMN name STRING(MAX) NOT NULL",
      "ALTER TABLE locktable ALTER COLUMN heartbeat TIMESTAMP",
      "DROP INDEX logtable_by_time",
    ]);
    await changeSchema(database, ...mends.reverse());
    expect((await apply(database.path)).code).toBe(0);
    await open(database.path);
    expect(await apply(database.path)).toEqual(NOTHING(database.path));
  });

  test("a name that something else has is told in one line, with a mend", async () => {
    await using index = await freshDatabase([
      "CREATE TABLE t (a INT64) PRIMARY KEY (a)",
      "CREATE INDEX locktable ON t (a)",
    ]);
    expect((await apply(index.path)).stderr).toContain("name another table with --lock-table");
    await using sequence = await freshDatabase([
      "CREATE SEQUENCE locktable OPTIONS (sequence_kind = 'bit_reversed_positive')",
    ]);
    const { code, stderr } = await apply(sequence.path);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^hedgerow schema apply: spanner:[^\n]*locktable[^\n]*: mend the schema by hand, or name other tables with --lock-table and --log-table\n$/,
    );
  });

  test("a database of the PostgreSQL dialect is told as such", async () => {
    await using database = await unused();
    const { path } = database;
    await apply(path, "--log-table", ""); // for the instance
    const admin = new DatabaseAdminClient(emulatorOptions(await sharedEmulator()));
    const [operation] = await admin.createDatabase({
      parent: path.replace(/\/databases.*$/, ""),
      createStatement: 'CREATE DATABASE "pg"',
      databaseDialect: "POSTGRESQL",
    });
    await operation.promise();
    await admin.close();
    const { code, stderr } = await apply(path.replace(/db$/, "pg"));
    expect(code).toBe(1);
    expect(stderr).toEndWith(
      "/pg has the PostgreSQL dialect: make a database with the GoogleSQL dialect\n",
    );
  });

  test("five at once: one result, each thing claimed at most once", async () => {
    await using database = await unused();
    const { path } = database;
    const runs = await withHost(await sharedEmulator(), () =>
      Promise.all(Array.from({ length: 5 }, () => apply(path, "--json"))),
    );
    expect(runs.map(({ code, stderr }) => [code, stderr])).toEqual(Array(5).fill([0, ""]));
    const claimed = runs.flatMap(({ stdout }) => JSON.parse(stdout) as string[]);
    expect(new Set(claimed).size).toBe(claimed.length);
    expect(await apply(path)).toEqual(NOTHING(path));
  });

  test("every reserved word is one to the emulator", async () => {
    await using database = await freshDatabase([]);
    await using sql = new Sql(database.host, database.path);
    const from = (name: string) => sql.query(`SELECT 1 FROM ${name}`).catch(String);
    expect(await from("nobody")).toContain("Table not found");
    for (const word of RESERVED_WORDS) {
      if (word === "GRAPH_TABLE") continue; // the emulator has no graphs
      const refusal = await from(word);
      expect(refusal, word).toBeString();
      expect(refusal, word).not.toContain("Table not found");
    }
  });
});

describeWithEmulator("serve on a database that is not ready", () => {
  const serve = async (path: string, ...flags: string[]) =>
    cliOn(
      await sharedEmulator(),
      ...["serve", "--store", `spanner:${path}`, ...flags],
      ...["--http-addr", "127.0.0.1:0", "--peer-addr", `127.0.0.1:${freePorts(1)}`],
    );

  test("says in one line what is missing, and what makes it", async () => {
    await using database = await freshDatabase([]);
    const { path } = database;
    expect(await serve(path)).toEqual({
      code: 1,
      stdout: "",
      stderr: `hedgerow serve: spanner:${path} has no table locktable and no table logtable: run hedgerow schema apply --store spanner:${path}\n`,
    });
    const flags = ["--lock-table", "mine", "--log-table", "", "--tls", "none"];
    expect((await serve(path, ...flags)).stderr).toBe(
      `hedgerow serve: spanner:${path} has no table mine: run hedgerow schema apply --store spanner:${path} --lock-table mine --log-table ""\n`,
    );
    const { code, stderr } = await serve(path, "--lock-table", "select");
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr:
        "hedgerow serve: --lock-table select is a word of Spanner's SQL: choose another name\n",
    });
  });

  test("says so where there is no database, and no instance", async () => {
    await using database = await freshDatabase([]);
    const { path } = database;
    const database2 = path.replace(/[^/]+$/, "nobody");
    const instance2 = path.replace("/tests/", "/nobody/");
    for (const [missing, word] of [
      [database2, "database"],
      [instance2, "instance"],
    ] as const) {
      const { code, stderr } = await serve(missing);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        new RegExp(`^[^\\n]* there is no such ${word}: [^\\n]*schema apply [^\\n]*\\n$`),
      );
    }
  });
});
