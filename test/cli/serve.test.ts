import { describe, expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { version } from "../../package.json";
import { runProgram } from "../../src/cli/program.ts";
import { cliKit } from "./cli-kit.ts";
import { freePorts, inFolder, Process, until } from "./process-kit.ts";

const address = (port: number) => `127.0.0.1:${port}`;

/** Runs `serve` on two free ports, with what the story needs beside them. */
function withNode(
  flags: readonly string[],
  story: (node: Process, url: string, folder: string) => Promise<void>,
): Promise<void> {
  return inFolder(async (folder) => {
    const port = freePorts(2);
    const own = ["--peer-addr", address(port), "--http-addr", address(port + 1)];
    const node = new Process(["serve", ...own, "--lease", "2s", ...flags], folder);
    try {
      const url = `http://${address(port + 1)}`;
      await until("the node is ready", async () => {
        if (node.child.exitCode !== null) throw new Error(`it ended: ${node.stderr}`);
        const answer = await fetch(`${url}/readyz`).catch(() => null);
        return answer?.status === 200;
      });
      await story(node, url, folder);
    } finally {
      node.child.kill("SIGKILL");
      await node.ended();
    }
  });
}

const run = (argv: readonly string[]) =>
  inFolder(async (folder) => {
    const process = new Process(argv, folder);
    const code = await process.ended();
    return { code, stdout: process.stdout, stderr: process.stderr, files: await readdir(folder) };
  });

describe("exit codes of the real process", () => {
  test("--version", async () => {
    expect(await run(["--version"])).toEqual({
      code: 0,
      stdout: `${version}\n`,
      stderr: "",
      files: [],
    });
  });

  test.each([
    [["serve", "--lease", "1s"], "hedgerow serve: --lease 1s: must be at least 2s\n"],
    [
      ["serve", "--leese", "1s"],
      "hedgerow serve: unknown option '--leese' (Did you mean --lease?)\n",
    ],
    [["sevre"], "hedgerow: unknown command 'sevre' (Did you mean serve?)\n"],
  ])("%p is refused with 2, and leaves nothing", async (argv, stderr) => {
    expect(await run(argv)).toEqual({ code: 2, stdout: "", stderr, files: [] });
  });

  test("C9: a busy http port ends it with 1 before anything has started", async () => {
    using busy = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const { code, stderr, files } = await run([
      ...["serve", "--http-addr", address(busy.port)],
      ...["--peer-addr", address(freePorts(1))],
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^hedgerow serve: --http-addr [^\n]* in use: [^\n]*\n$/);
    expect(files).toEqual([]);
  });

  test("C9: a busy peer port ends it with 1, and frees the http port", async () => {
    using busy = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    const http = address(freePorts(1));
    const { code, stderr } = await run([
      ...["serve", "--http-addr", http, "--peer-addr", address(busy.port)],
    ]);
    expect(code).toBe(1);
    expect(stderr.trimEnd().split("\n").at(-1)).toMatch(
      /^hedgerow serve: --peer-addr 127\.0\.0\.1:\d+: port \d+ is in use: /,
    );
    await expect(fetch(`http://${http}/livez`)).rejects.toThrow();
  });

  test.each([
    ["127.0.0.1:9090", "127.0.0.1:9090"],
    ["localhost:9090", "127.0.0.1:9090"],
    ["127.0.0.1:9090", ":9090"],
    ["", "0.0.0.0:8080"],
  ])("one address for both listeners, %p and %p, is refused with 2", async (peer, http) => {
    for (const command of ["serve", "doctor"]) {
      expect(await run([command, "--peer-addr", peer, "--http-addr", http])).toEqual({
        code: 2,
        stdout: "",
        stderr: `hedgerow ${command}: --peer-addr ${peer} and --http-addr ${http} are one address: give each a port of its own\n`,
        files: [],
      });
    }
  });

  test("a client command without a server ends with 1", async () => {
    const server = `http://${address(freePorts(1))}`;
    const { code, stderr } = await run(["status", "--server", server]);
    expect(code).toBe(1);
    expect(stderr).toContain("no server answers at");
  });
});

describe("serve", () => {
  test("a signal that came before it started ends it all the same", async () => {
    await inFolder(async (folder) => {
      const { context, stop } = cliKit([
        ...["serve", "--http-addr", "127.0.0.1:0", "--peer-addr", "127.0.0.1:0"],
        ...["--store", `sqlite:${join(folder, "x.db")}`],
      ]);
      stop.abort();
      expect(await runProgram(context)).toBe(0);
    });
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "%s ends it with 0, by itself",
    async (signal) => {
      await withNode([], async (node) => {
        node.child.kill(signal);
        expect(await node.ended()).toBe(0);
        expect(node.stderr).toContain("stopping");
        expect(node.stdout).toBe("");
      });
    },
  );

  test("answers the demo endpoints in its own name", async () => {
    await withNode([], async (_, url) => {
      const ask = async (path: string, body: string) =>
        (await fetch(`${url}${path}`, { method: "POST", body })).text();
      expect(await ask("/put", "k some value")).toMatch(
        /^put: sender=.+, key=k, value=some value$/,
      );
      expect(await ask("/get", "k")).toMatch(
        /^get: sender=.+, key=k, value=\[\{Key:k Value:some value Timestamp:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \+0000 UTC\}\]$/,
      );
      expect(await ask("/send", "")).toMatch(
        /^sender=(.+), reply=leader \[\1\/127\.0\.0\.1:\d+\] received the message \[hello\] on \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/,
      );
      expect(await ask("/broadcast", "x")).toMatch(
        /^broadcast: sender=(.+), reply=node \[\1\/127\.0\.0\.1:\d+\] received the broadcast message \[x\] on \S+Z\n$/,
      );
    });
  });

  test("C11: a value is never logged, at any level", async () => {
    await withNode(["--log-level", "debug", "--log-format", "json"], async (node, url) => {
      for (const [path, body] of [
        ["/put", "k s3cret-value"],
        ["/send", "s3cret-message"],
        ["/broadcast", "s3cret-message"],
        ["/put", "s3cret"],
        ["/get", "k"],
      ] as const) {
        await fetch(`${url}${path}`, { method: "POST", body });
      }
      node.child.kill("SIGTERM");
      await node.ended();
      const lines = node.stderr
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line));
      expect(lines.filter(({ message }) => message === "http request").length).toBeGreaterThan(4);
      expect(node.stderr).not.toContain("s3cret");
    });
  });

  test("a client command ends at once when it is done", async () => {
    await withNode([], async (_, url, folder) => {
      const command = new Process(["leader", "--server", url], folder);
      const started = performance.now();
      expect(await command.ended()).toBe(0);
      // Well below the grace after which a process that something keeps is ended.
      expect(performance.now() - started).toBeLessThan(2_500);
    });
  });
});
