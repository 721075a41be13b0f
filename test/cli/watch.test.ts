import { describe, expect, test } from "bun:test";
import { runProgram } from "../../src/cli/program.ts";
import { HedgerowError } from "../../src/errors.ts";
import type * as api from "../../src/node/api.ts";
import { cli, cliKit } from "./cli-kit.ts";
import { run, withServer } from "./server-kit.ts";

describe("watch", () => {
  const version = (id: string, value: string) => ({
    key: "k",
    id,
    value,
    leader: "10.0.0.1:8080",
    timestamp: 1_735_787_045_123_456,
  });

  test("prints a line for each version, and ends well with Ctrl-C", async () => {
    async function* watch(_: string, { signal }: api.WatchOptions = {}) {
      yield version("1", "first value");
      yield version("2", "two\nlines");
      await new Promise((resolve) => signal?.addEventListener("abort", resolve));
    }
    await withServer({ watch }, async (url) => {
      const kit = cliKit(["watch", "k", "--server", url]);
      const ended = runProgram(kit.context);
      while (kit.written.stdout.split("\n").length < 3) await new Promise(setImmediate);
      kit.stop.abort();
      expect(await ended).toBe(0);
      expect(kit.written).toEqual({
        stdout:
          "2025-01-02T03:04:05.123456Z  1  10.0.0.1:8080  first value\n" +
          "2025-01-02T03:04:05.123456Z  2  10.0.0.1:8080  two\\nlines\n",
        stderr: "",
      });
    });
  });

  test("as JSON, one object to a line; it ends as the node does", async () => {
    async function* watch() {
      yield version("1", "two\nlines");
      throw new HedgerowError("stopped", "watch: the node is stopping");
    }
    const { code, stdout, stderr } = await run({ watch }, "watch", "k", "--json");
    const { key, value, id, leader } = version("1", "two\nlines");
    const timestamp = "2025-01-02T03:04:05.123456Z";
    expect(
      stdout
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line)),
    ).toEqual([{ key, value, timestamp, id, leader }]);
    expect([code, stderr]).toEqual([
      1,
      "hedgerow watch: the node is stopping (go on with --from 1)\n",
    ]);
  });

  test("goes on at the next server behind what it has printed; with nothing to go on from it says so", async () => {
    const asked: unknown[] = [];
    const stopping = new HedgerowError("stopped", "watch: the node is stopping");
    async function* first(key: string, { fromId }: api.WatchOptions = {}) {
      asked.push(fromId);
      if (key === "busy") yield version("1", "one");
      throw stopping;
    }
    async function* second(_: string, { fromId }: api.WatchOptions = {}) {
      asked.push(fromId);
      yield version("2", "two");
    }
    await withServer({ watch: first }, (one) =>
      withServer({ watch: second }, async (two) => {
        const servers = ["--server", `${one},${two}`];
        const { code, stdout } = await cli(["watch", "busy", ...servers]);
        expect(code).toBe(0);
        expect(stdout.split("\n").map((line) => line.split("  ")[1])).toEqual([
          "1",
          "2",
          undefined,
        ]);
        expect(asked).toEqual([undefined, "1"]);
        const idle = await cli(["watch", "idle", ...servers]);
        expect([idle.code, idle.stdout]).toEqual([1, ""]);
        expect(idle.stderr).toContain("the node is stopping");
        expect(asked).toHaveLength(3);
      }),
    );
  });

  test("begins where it is told to", async () => {
    const asked: unknown[] = [];
    async function* watch(_: string, { fromId }: api.WatchOptions = {}): AsyncGenerator<never> {
      asked.push(fromId);
      yield* [];
    }
    await run({ watch }, "watch", "k");
    await run({ watch }, "watch", "k", "--from", "oldest");
    await run({ watch }, "watch", "k", "--from", "id-1");
    expect(asked).toEqual([undefined, "", "id-1"]);
  });
});
