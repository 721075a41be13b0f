import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { NotHere } from "./harness.ts";

export const repository = join(import.meta.dir, "..");
const START_DEADLINE_MS = 20_000;
const STOP_DEADLINE_MS = 5_000;

const alive = new Set<Subprocess>();
// Whatever ends the benchmark, no process that it started outlives it.
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

/** The command, bound to one core where that can be done. */
export function pinned(command: readonly string[], core: number | undefined): string[] {
  if (core === undefined || Bun.which("taskset") === null) return [...command];
  return ["taskset", "-c", String(core), ...command];
}

/** The core for runs in which all processes share one. */
export const sharedCore = availableParallelism() - 1;

interface ProgramOptions {
  /** Resolves true once the program can be used. */
  readonly ready: () => Promise<boolean>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly folder?: string;
}

/** Starts a program and waits until it can be used. */
export async function startProgram(
  command: readonly string[],
  options: ProgramOptions,
): Promise<Subprocess> {
  const child = Bun.spawn([...command], {
    cwd: options.folder ?? repository,
    env: { ...process.env, ...options.environment },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  track(child);
  try {
    await waitUntil(`${command[0]} listens`, START_DEADLINE_MS, async () => {
      if (child.exitCode !== null) throw new Error(`${command.join(" ")}: ended at once`);
      return options.ready();
    });
  } catch (error) {
    await endProcess(child);
    throw error;
  }
  return child;
}

export function track(child: Subprocess): void {
  alive.add(child);
  void child.exited.finally(() => alive.delete(child));
}

/** SIGTERM, and SIGKILL to whatever does not heed it. */
export async function endProcess(child: Subprocess): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_DEADLINE_MS);
  await child.exited;
  clearTimeout(timer);
}

/** Asks again and again, until it is so. */
export async function waitUntil(
  what: string,
  deadlineMs: number,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await Bun.sleep(5);
  }
}

/** Whether something accepts connections at this port of 127.0.0.1. */
export async function accepts(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}

/** A port that was free a moment ago. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
}

/** Throws NotHere unless the program is installed. */
export function requireProgram(name: string, debianPackage: string): void {
  if (Bun.which(name) === null) {
    throw new NotHere(`${name} is not installed (Debian: ${debianPackage})`);
  }
}

/** A folder on the disk that holds the repository: the system's temporary one may be memory. */
export async function scratchFolder(): Promise<string> {
  const parent = join(repository, ".tmp");
  await mkdir(parent, { recursive: true });
  return mkdtemp(join(parent, "bench-"));
}

export async function removeFolder(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}
