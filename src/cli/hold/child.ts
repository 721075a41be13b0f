import { constants } from "node:os";
import { HedgerowError } from "../../errors.ts";
import type { Environment } from "../flag.ts";

/** As shells have it: for a command that cannot be found, or not be run. */
const NOT_FOUND = 127;
const NOT_RUNNABLE = 126;

const MENDS: Readonly<Record<string, string>> = {
  ENOENT: "no such command",
  EACCES: "cannot be run: name a file that may be executed (chmod +x)",
  ENOEXEC: "cannot be run: begin the script with a line such as #!/bin/sh",
};

/** The command that runs while a claim is held, with this process's own stdin, stdout and stderr. */
export type HeldCommand = Bun.Subprocess<"inherit", "inherit", "inherit">;

/** Starts it, or says why it cannot be and with which exit code that is told. */
export function startCommand(
  command: readonly string[],
  env: Environment,
): HeldCommand | { readonly error: HedgerowError; readonly exitCode: number } {
  try {
    return Bun.spawn([...command], {
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
      env: { ...env },
    });
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const message = `${command[0] || '""'}: ${MENDS[code] ?? `cannot be run (${code})`}`;
    return {
      error: new HedgerowError("not_found", message, { cause }),
      exitCode: code === "ENOENT" ? NOT_FOUND : NOT_RUNNABLE,
    };
  }
}

/** As a shell gives it: the command's own, or 128 and the number of the signal that ended it. */
export function exitCodeOf({ exitCode, signalCode }: HeldCommand): number {
  if (exitCode !== null) return exitCode;
  const numbers: Readonly<Record<string, number>> = constants.signals;
  return 128 + (numbers[signalCode ?? ""] ?? 0);
}
