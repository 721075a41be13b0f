import { HedgerowError } from "../../errors.ts";
import type { Environment } from "../flag.ts";
import { signalExit } from "../exit.ts";

/** As shells have it: for a command that cannot be found, or not be run. */
const NOT_FOUND = 127;
const NOT_RUNNABLE = 126;

const MENDS: Readonly<Record<string, string>> = {
  ENOENT: "no such command",
  EACCES: "cannot be run: name a file that may be executed (chmod +x)",
  ENOEXEC: "cannot be run: begin the script with a line such as #!/bin/sh",
};

/** The command that runs while a claim is held, with this process's own stdin, stdout and stderr. */
export interface HeldCommand {
  /** As kill(2) takes it: the process, or, negative, its whole process group. */
  readonly target: number;
  /** Its exit code, as a shell gives it: 128 and the number of the signal that ended it. */
  readonly exited: Promise<number>;
  /** To all processes of `target`. */
  signal(name: NodeJS.Signals): void;
  /** Whether a process of `target` is there still. */
  readonly alive: boolean;
}

/**
 * Starts it, or says why it cannot be and with which exit code that is told. `ownGroup`: it gets a session and a
 * process group of its own, so that what it starts gets signals, too. On a terminal it must not: it could not read.
 */
export function startCommand(
  command: readonly string[],
  env: Environment,
  ownGroup: boolean,
): HeldCommand | { readonly error: HedgerowError; readonly exitCode: number } {
  try {
    const child = Bun.spawn([...command], {
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
      env: { ...env },
      detached: ownGroup,
    });
    const target = ownGroup ? -child.pid : child.pid;
    return {
      target,
      exited: child.exited.then(() => child.exitCode ?? signalExit(child.signalCode ?? 0)),
      signal: (name) => void kill(target, name),
      get alive() {
        return kill(target, 0);
      },
    };
  } catch (cause) {
    const code = codeOf(cause);
    const message = `${command[0] || '""'}: ${MENDS[code] ?? `cannot be run (${code})`}`;
    return {
      error: new HedgerowError("not_found", message, { cause }),
      exitCode: code === "ENOENT" ? NOT_FOUND : NOT_RUNNABLE,
    };
  }
}

/** Whether there was anybody to signal. */
function kill(target: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(target, signal);
    return true;
  } catch (error) {
    // One that may not be signalled, as after it became another user's, is there.
    if (codeOf(error) === "ESRCH") return false;
    if (codeOf(error) === "EPERM") return true;
    throw error;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
