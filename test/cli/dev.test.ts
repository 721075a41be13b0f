import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { freePorts, inFolder, isAlive, Process, until } from "./process-kit.ts";

interface Row {
  readonly node: number;
  readonly http: string;
  readonly peer: string;
  readonly role: string;
  readonly pid: number;
  readonly state: string;
  readonly note: string;
  readonly members: number | null;
}

interface Dev {
  readonly process: Process;
  /** The latest row of each node. */
  rows(): Row[];
  readonly folder: string;
}

/** Runs `dev` until all nodes are ready, then the story; nothing survives it. */
function withDev(nodes: number, story: (dev: Dev) => Promise<void>): Promise<void> {
  return inFolder(async (folder) => {
    const port = freePorts(2 * nodes);
    const ports = ["--http-port", `${port}`, "--peer-port", `${port + nodes}`];
    const argv = ["dev", "--nodes", `${nodes}`, ...ports, "--lease", "2s", "--json"];
    const process = new Process(argv, folder);
    const rows = () => {
      const latest = new Map<number, Row>();
      for (const line of process.stdout.split("\n").slice(0, -1)) {
        const row = JSON.parse(line) as Row;
        latest.set(row.node, row);
      }
      return [...latest.values()];
    };
    try {
      await until("all nodes are ready", () => {
        if (process.child.exitCode !== null) throw new Error(`it ended: ${process.stderr}`);
        const ready = rows().filter((row) => row.state === "ready" && row.members === nodes);
        return ready.length === nodes;
      });
      await story({ process, rows, folder });
    } finally {
      process.child.kill("SIGKILL");
      for (const { pid } of rows()) if (isAlive(pid)) globalThis.process.kill(pid, "SIGKILL");
      await process.ended();
    }
  });
}

describe("dev", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s ends it with 0 and leaves no process and no file",
    async (signal) => {
      await withDev(2, async ({ process, rows, folder }) => {
        const pids = rows().map(({ pid }) => pid);
        expect(rows().filter(({ role }) => role === "leader")).toHaveLength(1);
        expect(await readdir(folder)).toHaveLength(1);
        process.child.kill(signal);
        expect(await process.ended()).toBe(0);
        expect(rows().map(({ state }) => state)).toEqual(["stopped", "stopped"]);
        expect(pids.filter(isAlive)).toEqual([]);
        expect(await readdir(folder)).toEqual([]);
        expect(process.stderr).toBe("");
      });
    },
    90_000,
  );

  test("one Ctrl-C that is delivered twice ends it as one does", async () => {
    await withDev(2, async ({ process, rows, folder }) => {
      const pids = rows().map(({ pid }) => pid);
      process.child.kill("SIGINT");
      await Bun.sleep(1); // as far apart as a terminal and `bun run` deliver it
      process.child.kill("SIGINT");
      expect(await process.ended()).toBe(0);
      expect(rows().map(({ state }) => state)).toEqual(["stopped", "stopped"]);
      expect(pids.filter(isAlive)).toEqual([]);
      expect(await readdir(folder)).toEqual([]);
    });
  }, 90_000);

  test("one node works", async () => {
    await withDev(1, async ({ rows }) => {
      const [row] = rows();
      const reply = await fetch(`${row?.http}/send`, { method: "POST", body: "alone" });
      expect(await reply.text()).toContain("received the message [alone]");
    });
  }, 90_000);

  test("a node that died is shown as dead, and the others lead on", async () => {
    await withDev(2, async ({ rows }) => {
      const leader = rows().find(({ role }) => role === "leader");
      if (leader === undefined) throw new Error("nobody leads");
      process.kill(leader.pid, "SIGKILL");
      const row = (node: number) => rows().find((each) => each.node === node);
      await until("it is shown as dead", () => row(leader.node)?.state === "dead");
      expect(row(leader.node)?.note).toBe("SIGKILL");
      await until("the other leads", () => row(3 - leader.node)?.role === "leader");
    });
  }, 90_000);

  test("killed with -9, its nodes end by themselves", async () => {
    await withDev(2, async ({ process, rows }) => {
      const pids = rows().map(({ pid }) => pid);
      process.child.kill("SIGKILL");
      await until("the nodes end", () => pids.every((pid) => !isAlive(pid)));
    });
  }, 90_000);

  test("a second Ctrl-C does not wait for a node that hangs", async () => {
    await withDev(2, async ({ process, rows, folder }) => {
      const pids = rows().map(({ pid }) => pid);
      globalThis.process.kill(pids[0] as number, "SIGSTOP");
      process.child.kill("SIGINT");
      const second = performance.now() + 1_000;
      await until("the other node ends", () => !isAlive(pids[1] as number));
      await until("it is a second Ctrl-C", () => performance.now() >= second);
      expect(process.child.exitCode).toBeNull();
      process.child.kill("SIGINT");
      expect(await process.ended()).toBe(1);
      await until("the hanging node ends", () => pids.every((pid) => !isAlive(pid)));
      expect(await readdir(folder)).toEqual([]);
    });
  }, 90_000);

  test("a node that hangs is killed when its time is over", async () => {
    await withDev(1, async ({ process, rows }) => {
      const [row] = rows();
      globalThis.process.kill(row?.pid as number, "SIGSTOP");
      process.child.kill("SIGINT");
      expect(await process.ended()).toBe(0);
      expect(isAlive(row?.pid as number)).toBe(false);
      expect(rows()[0]?.note).toStartWith("SIGKILL");
    });
  }, 90_000);

  test.each(["--http-port", "--peer-port"])(
    "C9: a port that is busy is named with %s, and nothing is left running",
    async (flag) => {
      await inFolder(async (folder) => {
        const port = freePorts(4);
        const first = flag === "--http-port" ? port : port + 2;
        using _busy = Bun.listen({ hostname: "127.0.0.1", port: first + 1, socket: { data() {} } });
        const ports = ["--http-port", `${port}`, "--peer-port", `${port + 2}`];
        const process = new Process(["dev", "--nodes", "2", ...ports], folder);
        expect(await process.ended()).toBe(1);
        expect(process.stdout).toBe("");
        expect(process.stderr).toBe(
          `hedgerow dev: port ${first + 1} is in use: stop what listens there, or choose others with ${flag}\n`,
        );
        expect(await readdir(folder)).toEqual([]);
      });
    },
  );

  test("a store that cannot be opened is told in one line, and nothing is left", async () => {
    await inFolder(async (folder) => {
      const port = freePorts(4);
      const process = new Process(
        [
          ...["dev", "--nodes", "2", "--store", "sqlite:/nowhere/x.db"],
          ...["--http-port", `${port}`, "--peer-port", `${port + 2}`],
        ],
        folder,
      );
      expect(await process.ended()).toBe(1);
      expect(process.stderr).toMatch(
        /^hedgerow dev: node \d did not start: [^\n]*nowhere[^\n]*\n$/,
      );
      expect(process.stdout).not.toContain("nowhere"); // the cause is told once
    });
  });
});
