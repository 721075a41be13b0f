import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CliContext } from "../../src/cli/context.ts";
import { runProgram } from "../../src/cli/program.ts";
import { HedgerowError } from "../../src/errors.ts";
import { fakeLock, TOKEN } from "../http/fake-lock.ts";
import { cliKit } from "./cli-kit.ts";
import { isAlive, until } from "./process-kit.ts";
import { withServer } from "./server-kit.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-hold-"));
});
afterAll(() => rm(folder, { recursive: true }));

const ALWAYS = () => 60_000;

/** `hedgerow lock jobs -- ...` against a node whose lock is a fake. */
function hold(
  command: readonly string[],
  { lock } = fakeLock(ALWAYS),
  replaced: Partial<CliContext> = {},
) {
  const kit = cliKit([], { PATH: process.env.PATH });
  const code = withServer({ lock }, (url) => {
    const argv = ["lock", "jobs", "--server", url, "--", ...command];
    return runProgram({ ...kit.context, ...replaced, argv });
  });
  return { code, kit };
}

const sh = (script: string) => ["sh", "-c", script];

test("the exit code is the command's, and the claim is given back", async () => {
  for (const [script, expected] of [
    ["true", 0],
    ["exit 7", 7],
    ["kill -9 $$", 137],
  ] as const) {
    const fake = fakeLock(ALWAYS);
    const { code, kit } = hold(sh(script), fake);
    expect({ script, code: await code }).toEqual({ script, code: expected });
    expect(kit.written.stderr).toBe("");
    expect(fake.state.released).toBe(1);
  }
});

test("the grant's variables are in the command's environment", async () => {
  const path = join(folder, "variable");
  expect(await hold(sh(`echo "$HEDGEROW_LOCK_TOKEN" > ${path}`)).code).toBe(0);
  expect(await readFile(path, "utf8")).toBe(`${TOKEN}\n`);
});

test("a command that is not there: 127, and the claim is given back", async () => {
  const fake = fakeLock(ALWAYS);
  const { code, kit } = hold(["/no/such/command"], fake);
  expect(await code).toBe(127);
  expect(kit.written.stderr).toBe("hedgerow lock: /no/such/command: no such command\n");
  expect(fake.state.released).toBe(1);
});

test("a file that is no program: 126, and the mend", async () => {
  for (const [mode, mend] of [
    [0o644, "name a file that may be executed (chmod +x)"],
    [0o755, "begin the script with a line such as #!/bin/sh"],
  ] as const) {
    const path = join(folder, `script-${mode}`);
    await writeFile(path, "echo hi\n", { mode });
    const { code, kit } = hold([path]);
    expect(await code).toBe(126);
    expect(kit.written.stderr).toBe(`hedgerow lock: ${path}: cannot be run: ${mend}\n`);
  }
});

test("a claim that is lost: SIGTERM, one line that says why, exit code 125", async () => {
  const path = join(folder, "terminated");
  const fake = fakeLock(ALWAYS);
  const script = `trap 'echo got > ${path}; exit 0' TERM; touch ${path}.started; while :; do sleep 0.01; done`;
  const { code, kit } = hold(sh(script), fake);
  await until("the command runs", () => Bun.file(`${path}.started`).exists());
  fake.lost.abort(new HedgerowError("claim_lost", "the lock was not renewed in time"));
  expect(await code).toBe(125);
  expect(await readFile(path, "utf8")).toBe("got\n");
  expect(kit.written.stderr).toBe(
    "hedgerow lock: the lock was not renewed in time: lost, SIGTERM to the command\n",
  );
});

test("a claim that is not prolonged in time is lost, and one that is goes on", async () => {
  const over = performance.now() + 500;
  const lost = hold(
    ["sleep", "30"],
    fakeLock(() => Math.max(0, over - performance.now())),
  );
  expect(await lost.code).toBe(125);
  expect(performance.now()).toBeGreaterThan(over - 50);
  expect(lost.kit.written.stderr).toContain("lost, SIGTERM to the command");
  expect(
    await hold(
      ["sleep", "1"],
      fakeLock(() => 400),
    ).code,
  ).toBe(0);
});

test("what the command started ends with it when the claim is lost", async () => {
  const path = join(folder, "child");
  const fake = fakeLock(ALWAYS);
  // The shell waits for its child, and dies before it: the child ignores SIGTERM.
  const child = `trap '' TERM; echo $$ > ${path}; exec sleep 60`;
  const { code } = hold(sh(`sh -c "${child.replaceAll("$", "\\$")}" & wait`), fake, {
    runtime: impatient(),
  });
  const pid = Number(await until("the child runs", () => readFile(path, "utf8").catch(() => null)));
  fake.lost.abort(new HedgerowError("claim_lost", "gone"));
  expect(await code).toBe(125);
  await until("the child is gone", () => !isAlive(pid));
});

/** The system's clock, on which ten seconds are over in a tenth of one. */
function impatient(): CliContext["runtime"] {
  const { runtime } = cliKit([]).context;
  const { clock, random } = runtime;
  const quick: typeof clock = {
    bootId: clock.bootId,
    now: () => clock.now() * 100,
    wallMicros: () => clock.wallMicros(),
    schedule: (ms, run) => clock.schedule(ms / 100, run),
  };
  return { clock: quick, random };
}

test("signals are for the command and what it started while it runs", async () => {
  let take: ((name: NodeJS.Signals) => void) | null = null;
  const path = join(folder, "signalled");
  const inner = `trap 'echo inner > ${path}.inner; exit' HUP; touch ${path}.ready; while :; do sleep 0.01; done`;
  const script = `trap 'echo hup > ${path}' HUP; trap 'exit 5' USR1; sh -c "${inner}" & while :; do sleep 0.01; done`;
  const { code } = hold(sh(script), fakeLock(ALWAYS), {
    takeSignals: (taker) => {
      take = taker;
      return () => {
        take = null;
      };
    },
  });
  await until("the command runs", () => Bun.file(`${path}.ready`).exists());
  const send = (name: NodeJS.Signals) => (take as ((name: NodeJS.Signals) => void) | null)?.(name);
  send("SIGHUP");
  await until("it got SIGHUP", () => Bun.file(path).exists());
  await until("its child got SIGHUP", () => Bun.file(`${path}.inner`).exists());
  send("SIGUSR1");
  expect(await code).toBe(5);
  expect(take).toBeNull();
});

test("a signal before the grant ends it: 128 and its number, and nothing is run", async () => {
  for (const [name, expected] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    const { lock, calls, state } = fakeLock(ALWAYS);
    const patient = (jobs: string): ReturnType<typeof lock> => ({
      ...lock(jobs),
      acquire: (call) =>
        new Promise((_, reject) => {
          call?.signal?.addEventListener("abort", () => reject(call.signal?.reason as Error));
        }),
    });
    const kit = cliKit([]);
    const path = join(folder, "must-not-run");
    const code = withServer({ lock: patient }, (url) => {
      const argv = ["lock", "jobs", "--server", url, "--", "touch", path];
      return runProgram({ ...kit.context, stoppedBy: () => name, argv });
    });
    await until("it waits", () => calls.length > 0);
    kit.stop.abort();
    expect(await code).toBe(expected);
    expect(kit.written.stderr).toBe(`hedgerow lock: ${name}: the command was not run\n`);
    expect([state.released, await Bun.file(path).exists()]).toEqual([0, false]);
  }
});

test("somebody else's: 124, and nothing is run", async () => {
  const { lock } = fakeLock(ALWAYS);
  for (const code of ["taken", "timeout"] as const) {
    const refused = () => Promise.reject(new HedgerowError(code, "the lock is held"));
    const held = (name: string) => ({ ...lock(name), acquire: refused, tryAcquire: refused });
    const { code: exit, kit } = hold(["echo", "no"], { ...fakeLock(ALWAYS), lock: held });
    expect(await exit).toBe(124);
    expect(kit.written).toEqual({ stdout: "", stderr: "hedgerow lock: the lock is held\n" });
  }
});

test("of several servers the first that can is asked", async () => {
  const stopping = fakeLock(ALWAYS);
  const refused = () => Promise.reject(new HedgerowError("stopped", "the node is stopping"));
  const lock = (name: string) => ({ ...stopping.lock(name), acquire: refused });
  const good = fakeLock(ALWAYS);
  await withServer({ lock }, (first) =>
    withServer({ lock: good.lock }, async (second) => {
      const kit = cliKit([], { PATH: process.env.PATH });
      const server = `http://127.0.0.1:1,${first},${second}`;
      const argv = ["lock", "jobs", "--server", server, "--", "sh", "-c", "exit 3"];
      expect(await runProgram({ ...kit.context, argv })).toBe(3);
      expect(kit.written.stderr).toBe("");
    }),
  );
  expect([stopping.calls.length, good.state.released]).toEqual([1, 1]);
});

test("a killed holder's command, and what that started, get SIGTERM from the guard", async () => {
  const script = `
    import { guardAgainstOurEnd } from ${JSON.stringify(join(import.meta.dir, "../../src/cli/hold/guard.ts"))};
    const child = Bun.spawn(["sh", "-c", "sleep 60 & echo $!; wait"], { stdout: "pipe", detached: true });
    guardAgainstOurEnd(-child.pid);
    const { value } = await child.stdout.getReader().read();
    console.log(child.pid, Number(new TextDecoder().decode(value)));
    setInterval(() => {}, 1000);`;
  const path = join(folder, "holder.ts");
  await Bun.write(path, script);
  const holder = Bun.spawn([process.execPath, path], { stdout: "pipe" });
  const { value } = await holder.stdout.getReader().read();
  const pids = new TextDecoder().decode(value).trim().split(" ").map(Number);
  expect(pids.map(isAlive)).toEqual([true, true]);
  holder.kill("SIGKILL");
  await until("both are gone", () => !pids.some(isAlive));
});
