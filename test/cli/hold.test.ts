import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CliContext } from "../../src/cli/context.ts";
import { type Granted, runWhileHeld } from "../../src/cli/hold/run-while-held.ts";
import { HedgerowError } from "../../src/errors.ts";
import { cliKit } from "./cli-kit.ts";
import { isAlive, until } from "./process-kit.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-hold-"));
});
afterAll(() => rm(folder, { recursive: true }));

const GRANTED: Granted = { forMs: 60_000, environment: {} };

/** What the node does: grants, prolongs as told, and stays until the claim is given back or `ended`. */
interface FakeNode {
  readonly messages?: readonly Granted[];
  readonly ended?: Promise<void>;
}

function hold(script: string, node: FakeNode = {}, context: Partial<CliContext> = {}) {
  const kit = cliKit([], { PATH: process.env.PATH });
  let released = false;
  async function* open(_: unknown, _hold: string, { signal }: { signal: AbortSignal }) {
    yield* node.messages ?? [GRANTED];
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([aborted, ...(node.ended === undefined ? [] : [node.ended])]);
    released = signal.aborted;
  }
  const code = runWhileHeld(
    { ...kit.context, ...context },
    { called: "hedgerow hold", server: "http://127.0.0.1:1", command: ["sh", "-c", script], open },
  );
  return { code, kit, released: () => released };
}

test("the exit code is the command's, and the claim is given back", async () => {
  for (const [script, expected] of [
    ["true", 0],
    ["exit 7", 7],
    ["kill -9 $$", 137],
  ] as const) {
    const { code, kit, released } = hold(script);
    expect({ script, code: await code }).toEqual({ script, code: expected });
    expect(kit.written.stderr).toBe("");
    await until("it is given back", released);
  }
});

test("the grant's variables are in the command's environment", async () => {
  const path = join(folder, "variable");
  const granted = { ...GRANTED, environment: { HEDGEROW_TOKEN: "17" } };
  const { code } = hold(`echo "$HEDGEROW_TOKEN" > ${path}`, { messages: [granted] });
  expect(await code).toBe(0);
  expect(await readFile(path, "utf8")).toBe("17\n");
});

test("a command that is not there: 127, and the claim is given back", async () => {
  const kit = cliKit([]);
  let released = false;
  async function* open(_: unknown, _hold: string, { signal }: { signal: AbortSignal }) {
    yield GRANTED;
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    released = true;
  }
  const options = { called: "hedgerow hold", server: "http://127.0.0.1:1", open };
  const command = ["/no/such/command"];
  expect(await runWhileHeld(kit.context, { ...options, command })).toBe(127);
  expect(kit.written.stderr).toBe("hedgerow hold: /no/such/command: no such command\n");
  await until("it is given back", () => released);
});

test("a file that is no program: 126, and the mend", async () => {
  for (const [mode, mend] of [
    [0o644, "name a file that may be executed (chmod +x)"],
    [0o755, "begin the script with a line such as #!/bin/sh"],
  ] as const) {
    const path = join(folder, `script-${mode}`);
    await writeFile(path, "echo hi\n", { mode });
    const kit = cliKit([]);
    async function* open() {
      yield GRANTED;
    }
    const options = { called: "hedgerow hold", server: "http://127.0.0.1:1", open };
    expect(await runWhileHeld(kit.context, { ...options, command: [path] })).toBe(126);
    expect(kit.written.stderr).toBe(`hedgerow hold: ${path}: cannot be run: ${mend}\n`);
  }
});

test("the end of the stream is the end of the claim: SIGTERM, one line, exit code 1", async () => {
  const path = join(folder, "terminated");
  const ended = until("the command runs", () => Bun.file(`${path}.started`).exists());
  const script = `trap 'echo got > ${path}; exit 0' TERM; touch ${path}.started; while :; do sleep 0.01; done`;
  const { code, kit } = hold(script, { ended: ended.then(() => {}) });
  expect(await code).toBe(1);
  expect(await readFile(path, "utf8")).toBe("got\n");
  expect(kit.written.stderr).toBe(
    "hedgerow hold: the node has ended it: lost, SIGTERM to the command\n",
  );
});

test("an error of the stream says why", async () => {
  const reason = new HedgerowError("claim_lost", "the permit was not renewed in time");
  const { code, kit } = hold("sleep 30", { ended: Promise.reject(reason) });
  expect(await code).toBe(1);
  expect(kit.written.stderr).toContain(reason.message);
});

test("a claim that is not prolonged in time is lost, and one that is goes on", async () => {
  const short = { ...GRANTED, forMs: 300 };
  const lost = hold("sleep 30", { messages: [short] });
  const startedAt = performance.now();
  expect(await lost.code).toBe(1);
  expect(performance.now() - startedAt).toBeGreaterThan(290);
  expect(lost.kit.written.stderr).toContain("has not confirmed it in time");
  expect(await hold("sleep 0.5", { messages: [short, GRANTED] }).code).toBe(0);
});

test("signals are the command's while it runs", async () => {
  let take: ((name: NodeJS.Signals) => void) | null = null;
  const path = join(folder, "signalled");
  const script = `trap 'echo hup > ${path}' HUP; trap 'exit 5' USR1; touch ${path}.ready; while :; do sleep 0.01; done`;
  const { code } = hold(
    script,
    {},
    {
      takeSignals: (taker) => {
        take = taker;
        return () => {
          take = null;
        };
      },
    },
  );
  await until("the command runs", () => Bun.file(`${path}.ready`).exists());
  const send = (name: NodeJS.Signals) => (take as ((name: NodeJS.Signals) => void) | null)?.(name);
  send("SIGHUP");
  await until("it got SIGHUP", () => Bun.file(path).exists());
  send("SIGUSR1");
  expect(await code).toBe(5);
  expect(take).toBeNull();
});

test("Ctrl-C before the grant ends it", async () => {
  const kit = cliKit([]);
  async function* open(
    _: unknown,
    _hold: string,
    { signal }: { signal: AbortSignal },
  ): AsyncGenerator<Granted> {
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    throw new HedgerowError("canceled", "cancelled by the caller");
  }
  const options = { called: "hedgerow hold", server: "http://127.0.0.1:1", open };
  const ended = runWhileHeld(kit.context, { ...options, command: ["true"] });
  kit.stop.abort();
  const error = await ended.catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: "canceled",
    message: "stopped while it waited: the command was not run",
  });
});

test("a killed holder's command gets SIGTERM from the guard", async () => {
  const script = `
    import { guardAgainstOurEnd } from ${JSON.stringify(join(import.meta.dir, "../../src/cli/hold/guard.ts"))};
    const child = Bun.spawn(["sleep", "60"]);
    guardAgainstOurEnd(child.pid);
    console.log(child.pid);
    setInterval(() => {}, 1000);`;
  const path = join(folder, "holder.ts");
  await Bun.write(path, script);
  const holder = Bun.spawn([process.execPath, path], { stdout: "pipe" });
  const { value } = await holder.stdout.getReader().read();
  const pid = Number(new TextDecoder().decode(value));
  expect(isAlive(pid)).toBe(true);
  holder.kill("SIGKILL");
  await until("the command is gone", () => !isAlive(pid));
});
