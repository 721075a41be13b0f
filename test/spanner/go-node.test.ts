import { expect, test } from "bun:test";
import { cli } from "../cli/cli-kit.ts";
import { freePorts, inFolder, Process, until } from "../cli/process-kit.ts";
import { freshDatabase } from "./database.ts";
import { finish, GoContender } from "./go-contender.ts";
import { GO_ID, GO_LEASE_MS, insertGoRow, NAME } from "./go-kit.ts";
import { GoLog } from "./go-log.ts";
import { describeWithEmulator } from "./rule.ts";
import { Sql } from "./sql.ts";

const EXPIRED_MS = 60_000;
const TEST_MS = 90_000;

describeWithEmulator("a node on a database that the Go system has made and filled", () => {
  test(
    "takes its lock over, reads its history, and is read and followed by it",
    async () => {
      await using database = await freshDatabase();
      await using sql = new Sql(database.host, database.path);
      const go = new GoLog(sql, GO_ID);
      await insertGoRow(sql, EXPIRED_MS);
      for (const value of ["a", "b with spaces", "c"]) await go.put("k", value);
      await go.put("only", "replaced", { noAppend: true });
      await go.put("only", "newest", { noAppend: true });
      await sql.execute("insert logtable (key, id, value) values ('k', 'no-time', 'lost')");
      await go.createSemaphore("s", 2, GO_ID);
      await go.acquire("s", GO_ID);

      await inFolder(async (folder) => {
        const port = freePorts(2);
        const peer = `127.0.0.1:${port}`;
        const http = `127.0.0.1:${port + 1}`;
        const node = new Process(
          [
            ...["serve", "--store", `spanner:${database.path}`, "--lock-name", "demo"],
            ...["--lease", `${GO_LEASE_MS}ms`, "--peer-addr", peer, "--http-addr", http],
          ],
          folder,
          { SPANNER_EMULATOR_HOST: database.host },
        );
        const run = async (...argv: string[]) => {
          const { code, stdout, stderr } = await cli([...argv, "--server", `http://${http}`]);
          expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
          return stdout;
        };
        const values = async (...argv: string[]) => {
          const entries: { value: string }[] = JSON.parse(await run("get", ...argv, "--json"));
          return entries.map(({ value }) => value);
        };
        try {
          const contender = new GoContender(sql, { name: NAME, id: GO_ID, leaseMs: GO_LEASE_MS });
          await until("the node leads", async () => {
            if (node.child.exitCode !== null) throw new Error(`it ended: ${node.stderr}`);
            return (await contender.leader()).writer === peer;
          });
          await until("it says so", async () => {
            const answer = await fetch(`http://${http}/readyz`).catch(() => null);
            return answer?.status === 200;
          });
          expect(await values("k")).toEqual(["c"]);
          expect(await values("k", "--limit", "-1")).toEqual(["c", "b with spaces", "a"]);
          expect(await values("k", "--limit", "-2")).toEqual(["a"]);
          expect(await values("k", "--limit", "2")).toEqual(["c", "b with spaces"]);
          expect(await values("only", "--limit", "-1")).toEqual(["newest"]);

          await run("put", "k", "d");
          expect((await go.get("k", 2)).map(({ value }) => value)).toEqual(["d", "c"]);
          expect(await go.readSemaphore("s")).toMatchObject({ limit: 2 });
          expect(await go.holders("s")).toEqual([GO_ID]);
          expect(await contender.locked()).toBe(true);

          node.child.kill("SIGTERM");
          expect(await node.ended()).toBe(0);
          expect(await finish(contender.attempt())).toBe(true);
          expect((await contender.leader()).writer).toBe(GO_ID);
        } finally {
          node.child.kill("SIGKILL");
          await node.ended();
        }
      });
    },
    TEST_MS,
  );
});
