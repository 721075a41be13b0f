// The Spanner emulator as a process of one's own, for tests and benchmarks. Imports nothing of src.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { Client, credentials } from "@grpc/grpc-js";
import { findBinary, findEmulator } from "./find.ts";

const START_MS = 20_000;
/** One that is said to run should answer within a test's time. */
const ANSWER_MS = 4_000;
/** Of what it wrote to stderr, for failures. */
const KEPT_CHARACTERS = 8_000;

type Process = Bun.Subprocess<"ignore", "ignore", "pipe">;

/** Ends with this process whatever happens to the tests; a signal to the terminal's group reaches both. */
const running = new Set<Process>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** One emulator on one port, which it keeps over restarts. Its databases are in memory: a restart loses them. */
export class Emulator implements AsyncDisposable {
  #port = 0;
  #child: Process | null = null;
  /** The last of what its processes wrote to stderr. */
  stderr = "";

  constructor(private readonly binary: string) {}

  /** `host:port`, as SPANNER_EMULATOR_HOST names it. */
  get host(): string {
    if (this.#port === 0) throw new Error("the emulator was never started");
    return `127.0.0.1:${this.#port}`;
  }

  /** Starts it on its port, a free one the first time, and waits until it answers. */
  async start(): Promise<void> {
    if (this.#child !== null) throw new Error("the emulator runs already");
    const flags = [
      `--host_port=127.0.0.1:${this.#port}`,
      // A new transaction takes an idle one's place. By default it would wait for it, up to minutes.
      "--abort_current_transaction_probability=100",
    ];
    const child = Bun.spawn([this.binary, ...flags], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    this.#child = child;
    running.add(child);
    this.stderr = "";
    try {
      const port = await within(START_MS, this.#readPort(child));
      this.#port = port;
      await answers(this.host, START_MS);
    } catch (error) {
      await this.stop();
      throw new Error(`the Spanner emulator did not start: ${error}\n${this.stderr}`);
    }
  }

  /** Ends the process, if it runs, and waits until it is gone. Works on a paused one, too. */
  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    this.#child = null;
    child.kill(signal);
    child.kill("SIGCONT");
    await child.exited;
    running.delete(child);
  }

  /** Stands still, with its connections open, until `resume`: all its threads have stopped when this returns. */
  pause(): void {
    this.#signal("SIGSTOP");
    const tasks = `/proc/${this.#child?.pid}/task`;
    if (!existsSync(tasks)) return;
    for (
      let looks = 0;
      !readdirSync(tasks).every((task) => isStopped(`${tasks}/${task}`));
      looks++
    ) {
      if (looks > 5_000) throw new Error("the emulator does not stop");
      Bun.sleepSync(1);
    }
  }

  resume(): void {
    this.#signal("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child === null) throw new Error("the emulator does not run");
    this.#child.kill(signal);
  }

  /** The port that it says it listens on; goes on to keep what it writes. */
  async #readPort(child: Process): Promise<number> {
    const found = Promise.withResolvers<number>();
    const read = async () => {
      const decoder = new TextDecoder();
      for await (const chunk of child.stderr) {
        this.stderr = (this.stderr + decoder.decode(chunk, { stream: true })).slice(
          -KEPT_CHARACTERS,
        );
        const [, port] = /Server address: \S+:(\d+)\s/.exec(this.stderr) ?? [];
        if (port !== undefined) found.resolve(Number(port));
      }
      found.reject(new Error("it ended"));
    };
    read().catch(found.reject);
    return found.promise;
  }
}

/** An emulator of the caller's own, to stop, pause and start again. Throws where none is installed. */
export async function startEmulator(): Promise<Emulator> {
  const found = findBinary();
  if ("missing" in found) throw new Error(found.missing);
  const emulator = new Emulator(found.binary);
  await emulator.start();
  return emulator;
}

let shared: Promise<string> | null = null;
let owned: Emulator | null = null;

/**
 * `host:port` of the one emulator of this test process: SPANNER_EMULATOR_HOST, or one started by the first
 * call. `stopSharedEmulator` ends it.
 */
export function sharedEmulator(): Promise<string> {
  shared ??= startShared();
  return shared;
}

async function startShared(): Promise<string> {
  const found = findEmulator();
  if ("host" in found) {
    await answers(found.host, ANSWER_MS);
    return found.host;
  }
  owned = await startEmulator();
  return owned.host;
}

/** Ends the shared emulator, if this process started it. */
export async function stopSharedEmulator(): Promise<void> {
  await shared?.catch(() => {}); // its failure was that of the test that asked for it
  await owned?.stop();
  shared = null;
  owned = null;
}

/** Resolves once something speaks gRPC at `host`. */
async function answers(host: string, withinMs: number): Promise<void> {
  const client = new Client(host, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.initial_reconnect_backoff_ms": 20,
    "grpc.max_reconnect_backoff_ms": 100,
  });
  try {
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + withinMs, (error) => (error ? reject(error) : resolve()));
    });
  } catch {
    throw new Error(`no Spanner emulator answers at ${host}`);
  } finally {
    client.close();
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`not within ${ms} ms`)), ms);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A thread; one that has ended meanwhile counts. */
function isStopped(task: string): boolean {
  return !existsSync(task) || /\) [TtZX] /.test(readFileSync(`${task}/stat`, "utf8"));
}
