import { describe, expect, test } from "bun:test";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ddlStatements } from "../../src/store/spanner/ddl.ts";
import { cli } from "./cli-kit.ts";
import { inFolder, PROGRAM } from "./process-kit.ts";

const STORE = ["--store", "spanner:projects/p/instances/ii/databases/dd"];

describe("schema print", () => {
  test("prints statements, or an array of them, without asking any database", async () => {
    const statements = ddlStatements({ lockTable: "locktable", logTable: "logtable" });
    expect(await cli(["schema", "print", ...STORE])).toEqual({
      code: 0,
      stdout: statements.map((statement) => `${statement};\n`).join(""),
      stderr: "",
    });
    expect(JSON.parse((await cli(["schema", "print", ...STORE, "--json"])).stdout)).toEqual(
      statements,
    );
  });

  test("takes the tables' names from flags and environment", async () => {
    const environment = { HEDGEROW_LOG_TABLE: "" };
    const { stdout } = await cli(["schema", "print", ...STORE, "--lock-table", "l"], environment);
    expect(stdout).toStartWith("CREATE TABLE l (\n");
    expect(stdout.match(/CREATE/g)).toHaveLength(1);
  });

  test("names that Spanner does not take are bad usage", async () => {
    expect(await cli(["schema", "print", ...STORE, "--lock-table", "_l"])).toEqual({
      code: 2,
      stdout: "",
      stderr:
        'hedgerow schema print: --lock-table "_l": Spanner takes 1 to 128 letters, digits and _, the first a letter\n',
    });
  });

  test("has nothing to print for SQLite, and says so where a file of statements does not hide it", async () => {
    const sqlite = ["--store", "sqlite:./x.db"];
    const stderr =
      "SQLite creates its tables itself: for Spanner give --store spanner:projects/P/instances/I/databases/D\n";
    expect(await cli(["schema", "print", ...sqlite])).toEqual({ code: 0, stdout: "", stderr });
    const json = await cli(["schema", "print", ...sqlite, "--json"]);
    expect(json).toEqual({ code: 0, stdout: "[]\n", stderr });
  });
});

test.each(["print", "apply"])("schema %s without a store is bad usage", async (what) => {
  for (const environment of [{}, { HEDGEROW_STORE: "" }]) {
    expect(await cli(["schema", what, "--json"], environment)).toEqual({
      code: 2,
      stdout: "",
      stderr: `hedgerow schema ${what}: no store is given, and the default, sqlite:./hedgerow.db, makes its tables itself: for Spanner give --store spanner:projects/P/instances/I/databases/D, or set HEDGEROW_STORE\n`,
    });
  }
});

describe("schema apply", () => {
  test("names the variable where that was what was set", async () => {
    const set = (environment: Record<string, string>, ...flags: string[]) =>
      cli(["schema", "apply", ...flags], environment);
    const HEDGEROW_STORE = "spanner:projects/p/instances/ii/databases/dd";
    const { code, stderr } = await set({ HEDGEROW_STORE, HEDGEROW_LOCK_TABLE: "select" });
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr:
        "hedgerow schema apply: HEDGEROW_LOCK_TABLE=select is a word of Spanner's SQL: choose another name\n",
    });
    const flags = ["--lock-table", "from"];
    expect((await set({ HEDGEROW_STORE, HEDGEROW_LOCK_TABLE: "x" }, ...flags)).stderr).toBe(
      "hedgerow schema apply: --lock-table from is a word of Spanner's SQL: choose another name\n",
    );
  });

  test("has nothing to do for SQLite, and makes no file", async () => {
    await inFolder(async (folder) => {
      const store = ["--store", `sqlite:${join(folder, "none", "x.db")}`];
      expect(await cli(["schema", "apply", ...store])).toEqual({
        code: 0,
        stdout: "SQLite creates its tables itself: there is nothing to apply\n",
        stderr: "",
      });
      expect((await cli(["schema", "apply", ...store, "--json"])).stdout).toBe("[]\n");
    });
  });
});

describe("without credentials of Google Cloud", () => {
  /** Runs the program where nothing can be found but what `environment` names. */
  async function run(folder: string, environment: Record<string, string>, ...argv: string[]) {
    const child = Bun.spawn([...PROGRAM, ...argv, ...STORE], {
      cwd: folder,
      env: { HOME: folder, METADATA_SERVER_DETECTION: "none", ...environment },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    return { code: await child.exited, stdout, stderr };
  }
  const WHERE =
    "no credentials for Google Cloud: run gcloud auth application-default login, set GOOGLE_APPLICATION_CREDENTIALS, or use Workload Identity";

  test("serve and schema apply say in one line where to get them", async () => {
    await inFolder(async (folder) => {
      const listeners = ["--http-addr", "127.0.0.1:0", "--peer-addr", "127.0.0.1:0"];
      for (const argv of [
        ["schema", "apply"],
        ["serve", ...listeners],
      ]) {
        const { code, stderr } = await run(folder, {}, ...argv);
        expect({ code, stderr }).toEqual({
          code: 1,
          stderr: `hedgerow ${argv[0] === "serve" ? "serve" : "schema apply"}: ${WHERE}\n`,
        });
      }
    });
  });

  test("a metadata server that refuses adds no lines of Google's library", async () => {
    await using server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response("no", { status: 403 }),
    });
    await inFolder(async (folder) => {
      const environment = {
        METADATA_SERVER_DETECTION: "",
        GCE_METADATA_HOST: `127.0.0.1:${server.port}`,
      };
      const { code, stderr } = await run(folder, environment, "schema", "apply");
      expect({ code, stderr }).toEqual({ code: 1, stderr: `hedgerow schema apply: ${WHERE}\n` });
    });
  });

  test("a file that is none is named, and one that opens no door is told by the doctor", async () => {
    await inFolder(async (folder) => {
      const file = join(folder, "key.json");
      const environment = { GOOGLE_APPLICATION_CREDENTIALS: file };
      expect((await run(folder, environment, "schema", "apply")).stderr).toBe(
        `hedgerow schema apply: GOOGLE_APPLICATION_CREDENTIALS=${file} is no file with credentials: name another, or unset it\n`,
      );
      const key = { type: "service_account", client_email: "a@b.c", private_key: "no key" };
      await writeFile(file, JSON.stringify(key));
      const listeners = ["--http-addr", "127.0.0.1:0", "--peer-addr", "127.0.0.1:0"];
      const { code, stdout } = await run(folder, environment, "doctor", ...listeners, "--json");
      expect(code).toBe(1);
      expect(JSON.parse(stdout)[0]).toMatchObject({
        check: "credentials",
        ok: false,
        says: expect.stringMatching(/^they give no access \(.*\): run gcloud auth /),
      });
    });
  });
});
