import { expect, test } from "bun:test";
import { ddlStatements } from "../../src/store/spanner/ddl.ts";
import { freePorts, inFolder, Process, until } from "../cli/process-kit.ts";
import { freshDatabase } from "./database.ts";
import { describeWithEmulator } from "./rule.ts";
import { withHost } from "./with-host.ts";

const TABLES = { lockTable: "locktable", logTable: "logtable" };

/** Two nodes on a database of these tables, until the story is told. */
async function withDev(
  statements: readonly string[],
  story: (dev: Process, path: string, port: number) => Promise<void>,
): Promise<void> {
  await using database = await freshDatabase(statements);
  const { host, path } = database;
  await inFolder(async (folder) => {
    const port = freePorts(4);
    const ports = ["--http-port", `${port}`, "--peer-port", `${port + 2}`];
    const argv = ["dev", "--nodes", "2", ...ports, "--store", `spanner:${path}`, "--lease", "2s"];
    const dev = await withHost(host, async () => new Process(argv, folder));
    try {
      await story(dev, path, port);
    } finally {
      // Its nodes end with it: each stops once its stdin does.
      dev.child.kill("SIGKILL");
      await dev.ended();
    }
  });
}

describeWithEmulator("dev", () => {
  test("runs a cluster on a Spanner database", async () => {
    await withDev(ddlStatements(TABLES), async (dev, _, port) => {
      await until("both nodes are up", () => {
        if (dev.child.exitCode !== null) throw new Error(`it ended: ${dev.stderr}`);
        return dev.stdout.includes("2 nodes are up");
      });
      const ask = async (node: number, path: string, body: string) =>
        (await fetch(`http://127.0.0.1:${port + node}${path}`, { method: "POST", body })).text();
      expect(await ask(0, "/put", "k some value")).toContain("key=k, value=some value");
      expect(await ask(1, "/get", "k")).toContain("[{Key:k Value:some value Timestamp:");
      dev.child.kill("SIGTERM");
      expect(await dev.ended()).toBe(0);
    });
  });

  test("says in one line what its database lacks", async () => {
    await withDev([], async (dev, path) => {
      expect(await dev.ended()).toBe(1);
      expect(dev.stderr).toMatch(
        /^hedgerow dev: node \d did not start: exit code 1: hedgerow serve: [^\n]*\n$/,
      );
      expect(dev.stderr).toEndWith(`: run hedgerow schema apply --store spanner:${path}\n`);
    });
  });
});
