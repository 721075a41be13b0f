import { expect, test } from "bun:test";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BINARY, freeRange, until } from "./processes.ts";

/** Runs `hedgerow dev` from an empty folder until its nodes are ready, and what the story wants then. */
async function withDev(
  nodes: number,
  story: (dev: { child: Bun.Subprocess; httpPort: number; folder: string }) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hedgerow-dev-test-"));
  const base = await freeRange(2 * nodes + 5);
  const child = Bun.spawn(
    [
      BINARY,
      "dev",
      ...["--nodes", `${nodes}`, "--http-port", `${base}`, "--peer-port", `${base + nodes + 5}`],
    ],
    {
      cwd: folder,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, TMPDIR: folder },
    },
  );
  void new Response(child.stdout).text();
  try {
    await until("all nodes are ready", 20_000, async () => {
      const answers = Array.from({ length: nodes }, (_, i) =>
        fetch(`http://127.0.0.1:${base + i}/readyz`).then(
          ({ status }) => status === 200,
          () => false,
        ),
      );
      return (await Promise.all(answers)).every(Boolean);
    });
    await story({ child, httpPort: base, folder });
  } finally {
    child.kill("SIGKILL");
    await child.exited;
    await rm(folder, { recursive: true, force: true });
  }
}

/** Processes whose command line names our folder's binary and this peer port range. */
async function descendants(pid: number): Promise<number[]> {
  const listed = await Bun.$`ps -o pid= --ppid ${pid}`.nothrow().text();
  return listed.split("\n").filter(Boolean).map(Number);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`dev: three nodes; ${signal} leaves no process and no file`, async () => {
    await withDev(3, async ({ child, folder }) => {
      const nodes = await descendants(child.pid);
      expect(nodes.length).toBe(3);
      child.kill(signal);
      expect(await child.exited).toBe(0);
      expect(nodes.filter(isAlive)).toEqual([]);
      expect(await readdir(folder)).toEqual([]);
    });
  }, 60_000);
}

test("dev: one Ctrl-C that a terminal and `bun run` both deliver ends it as one does", async () => {
  await withDev(3, async ({ child, folder }) => {
    const nodes = await descendants(child.pid);
    child.kill("SIGINT");
    await Bun.sleep(1);
    child.kill("SIGINT");
    expect(await child.exited).toBe(0);
    expect(nodes.filter(isAlive)).toEqual([]);
    expect(await readdir(folder)).toEqual([]);
  });
}, 60_000);

test("dev killed with -9: its nodes notice and end", async () => {
  await withDev(3, async ({ child }) => {
    const nodes = await descendants(child.pid);
    child.kill("SIGKILL");
    await until("the nodes end", 10_000, () => nodes.every((pid) => !isAlive(pid)));
  });
}, 60_000);

test("dev --nodes 1 works", async () => {
  await withDev(1, async ({ httpPort }) => {
    const sent = await fetch(`http://127.0.0.1:${httpPort}/send`, { method: "POST", body: "one" });
    expect(await sent.text()).toContain("received the message [one]");
  });
}, 60_000);
