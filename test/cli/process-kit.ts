import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MAIN = join(import.meta.dir, "../../src/main.ts");

/** What starts the program from its source. */
export const PROGRAM = [process.execPath, MAIN];

/** The program in a real process, its output collected as it comes. */
export class Process {
  readonly child: Bun.Subprocess<"pipe", "pipe", "pipe">;
  stdout = "";
  stderr = "";
  readonly #read: Promise<unknown>;

  constructor(argv: readonly string[], folder: string, env: Readonly<Record<string, string>> = {}) {
    this.child = Bun.spawn([...PROGRAM, ...argv], {
      cwd: folder,
      env: { ...process.env, TMPDIR: folder, ...env },
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#read = Promise.all([
      collect(this.child.stdout, (text) => (this.stdout += text)),
      collect(this.child.stderr, (text) => (this.stderr += text)),
    ]);
  }

  /** Exit code, null after a signal that killed it. */
  async ended(): Promise<number | null> {
    await Promise.all([this.child.exited, this.#read]);
    return this.child.exitCode;
  }
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  take: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}

/** Waits until `condition` gives something true, or fails with what it waited for. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  withinMs = 25_000,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const met = await condition();
    if (met) return met;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`);
    await Bun.sleep(10);
  }
}

/** A folder of its own for the time of `use`. */
export async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "hedgerow-cli-test-"));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The first of `count` neighbouring ports that are free at this moment. */
export function freePorts(count: number): number {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 12_000);
    const ports = Array.from({ length: count }, (_, index) => first + index);
    if (ports.every(isFree)) return first;
  }
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
