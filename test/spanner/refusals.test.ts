import { describe, expect, test } from "bun:test";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import {
  type Answers,
  EMPTY_DATABASE,
  fakeGoogle,
  METHODS,
  operation,
  row,
  text,
} from "./fake-google.ts";
import { freePorts } from "../cli/process-kit.ts";
import { cliOn } from "./with-host.ts";

const PATH = "projects/p/instances/ii/databases/dd";
const STORE = ["--store", `spanner:${PATH}`];
const NOT_FOUND = { code: 5, missing: "Database" };
const PERMISSION_DENIED = { code: 7 };
const UNAVAILABLE = { code: 14 };
const UNAUTHENTICATED = { code: 16 };

const GRANTED = [
  "spanner.sessions.create",
  "spanner.sessions.delete",
  "spanner.databases.select",
  "spanner.databases.read",
  "spanner.databases.write",
  "spanner.databases.beginReadOnlyTransaction",
  "spanner.databases.beginOrRollbackReadWriteTransaction",
];
const granting = (...permissions: string[]) =>
  Buffer.concat(permissions.map((permission) => text(1, permission)));

/** What the doctor finds about the store, by the name of the check. */
async function doctor(answers: Answers) {
  await using google = await fakeGoogle({ ...EMPTY_DATABASE, ...answers });
  const argv = ["doctor", ...STORE, "--json", "--http-addr", "127.0.0.1:0"];
  const { stdout } = await cliOn(google.host, ...argv, "--peer-addr", "127.0.0.1:0");
  const findings = JSON.parse(stdout) as Finding[];
  return new Map(findings.map(({ check, ok, says }) => [check, `${ok ? "ok" : "FAIL"} ${says}`]));
}

async function apply(answers: Answers, ...flags: string[]) {
  await using google = await fakeGoogle({ ...EMPTY_DATABASE, ...answers });
  const ran = await cliOn(google.host, "schema", "apply", ...STORE, ...flags);
  expect(ran.stderr.match(/\n/g)?.length ?? 0).toBe(ran.code === 0 ? 0 : 1);
  return { ...ran, calls: google.calls };
}

describe("doctor", () => {
  const clockAhead = (seconds: number): Answers => ({
    [METHODS.executeSql]: () => row(new Date(Date.now() + seconds * 1_000).toISOString()),
  });

  test("tells clocks that are apart, and in which direction", async () => {
    expect((await doctor(clockAhead(0))).get("database clock")).toMatch(
      /^ok \d+ ms from this machine's$/,
    );
    const ahead = (await doctor(clockAhead(3_600))).get("database clock");
    expect(ahead).toMatch(
      /^FAIL this machine's clock is (3600\.0|3599\.\d) s behind the database's: set the clock, as by NTP$/,
    );
    expect((await doctor(clockAhead(-60))).get("database clock")).toMatch(
      /^FAIL this machine's clock is 60\.\d s ahead of the database's: /,
    );
  });

  test("tells which permissions are lacking, and the role that has them", async () => {
    const found = async (...permissions: string[]) =>
      (
        await doctor({
          ...clockAhead(0),
          [METHODS.testIamPermissions]: () => granting(...permissions),
        })
      ).get("permissions");
    expect(await found(...GRANTED)).toBe("ok all that a node needs");
    expect(await found(...GRANTED.filter((permission) => !permission.endsWith("write")))).toBe(
      "FAIL this account lacks spanner.databases.write: grant it roles/spanner.databaseUser on the database",
    );
    expect(await found()).toContain("lacks spanner.sessions.create, spanner.sessions.delete, ");
  });

  test.each([
    [PERMISSION_DENIED, "grant it roles/spanner.databaseUser"],
    [UNAUTHENTICATED, "gcloud auth application-default login"],
    [NOT_FOUND, "hedgerow schema apply"],
    [UNAVAILABLE, "cannot be reached"],
  ])("stops where the database refuses with %p, and names the mend", async (refusal, mend) => {
    const found = await doctor({ [METHODS.createSession]: () => refusal });
    expect(found.get("store")).toStartWith(`FAIL spanner:${PATH}`);
    expect(found.get("store")).toContain(mend);
    expect(found.has("schema")).toBe(false);
    expect(found.has("wall clock")).toBe(true);
  });
});

test("nobody listens: one line, at once", async () => {
  const host = `127.0.0.1:${freePorts(1)}`;
  const listeners = ["--http-addr", "127.0.0.1:0", "--peer-addr", `127.0.0.1:${freePorts(1)}`];
  for (const argv of [
    ["schema", "apply"],
    ["serve", ...listeners],
  ]) {
    const started = performance.now();
    const { code, stderr } = await cliOn(host, ...argv, ...STORE);
    expect(code).toBe(1);
    expect(stderr).toEndWith(
      `spanner:${PATH} cannot be reached at ${host}: start the emulator there, or mend or unset SPANNER_EMULATOR_HOST\n`,
    );
    expect(stderr.match(/\n/g)).toHaveLength(1);
    expect(stderr).not.toContain("schema apply: schema apply:");
    expect(performance.now() - started).toBeLessThan(20_000);
  }
});

test.each(["localhost", "http://localhost:9010", "localhost:0", "localhost:99999", "a b:1"])(
  "an emulator that is named %p is bad usage",
  async (host) => {
    for (const argv of [["schema", "apply"], ["doctor"]]) {
      const { code, stderr } = await cliOn(host, ...argv, ...STORE);
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: `hedgerow ${argv.join(" ")}: SPANNER_EMULATOR_HOST ${JSON.stringify(host)}: give host:port, as in 127.0.0.1:9010\n`,
      });
    }
  },
);

describe("schema apply", () => {
  test("waits for what Spanner goes on with", async () => {
    const ran = await apply({
      [METHODS.updateDatabaseDdl]: () => operation("running"),
      [METHODS.getOperation]: (call) => operation(call < 2 ? "running" : "done"),
    });
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toStartWith("added table locktable\n");
    expect(ran.calls.get(METHODS.getOperation)).toBe(3);
  });

  test("looks again where nobody could tell how far it is", async () => {
    const ran = await apply({
      [METHODS.updateDatabaseDdl]: () => operation("running"),
      [METHODS.getOperation]: (call) => (call === 0 ? UNAVAILABLE : operation("done")),
    });
    expect(ran).toMatchObject({ code: 0, stderr: "" });
  });

  test("tells of work that failed, after it was begun", async () => {
    const ran = await apply({
      [METHODS.updateDatabaseDdl]: () => operation("running"),
      [METHODS.getOperation]: () => operation(9),
    });
    expect(ran).toMatchObject({ code: 1, stdout: "" });
    expect(ran.stderr).toStartWith(`hedgerow schema apply: spanner:${PATH}: the work failed: `);
  });

  test("ends by its deadline, and says that Spanner goes on", async () => {
    const started = performance.now();
    const ran = await apply(
      {
        [METHODS.updateDatabaseDdl]: () => operation("running"),
        [METHODS.getOperation]: () => operation("running"),
      },
      ...["--timeout", "1s"],
    );
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain(
      "not done within 1000 ms: Spanner goes on with what it has begun, so run it again later",
    );
    expect(performance.now() - started).toBeLessThan(20_000);
  });

  test("ends by its deadline where nobody answers", async () => {
    for (const method of [METHODS.createSession, METHODS.executeSql, METHODS.updateDatabaseDdl]) {
      const ran = await apply({ [method]: () => "never" }, "--timeout", "1s");
      expect(ran.code).toBe(1);
      expect(ran.stderr).toContain("not done within 1000 ms");
    }
  });

  test("a database that may not be created names the role for that", async () => {
    const ran = await apply({
      [METHODS.createSession]: () => NOT_FOUND,
      [METHODS.createDatabase]: () => PERMISSION_DENIED,
    });
    expect(ran).toMatchObject({
      code: 1,
      stderr: `hedgerow schema apply: this account may not create spanner:${PATH}: grant it roles/spanner.databaseAdmin on the instance ii, or create the database by other means\n`,
    });
  });

  test("tables that may not be created name the role for that", async () => {
    const ran = await apply({ [METHODS.updateDatabaseDdl]: () => PERMISSION_DENIED });
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain("grant it roles/spanner.databaseUser");
  });
});
