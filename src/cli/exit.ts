import { constants } from "node:os";
import { HedgerowError, messageOf } from "../errors.ts";
import { oneLine } from "../observe/format.ts";

/** Of `lock` and `semaphore acquire`, which give the command's own otherwise; as timeout(1) has them. */
export const HOLD_EXIT = {
  /** Somebody else had it for as long as was waited: the command was not run. */
  notHad: 124,
  /** It was lost while the command ran. */
  lost: 125,
} as const;

export const HOLD_EXIT_HELP =
  "The exit code is its own, or 128 and the signal that ended it or the wait; 124: not to be had in time, it was " +
  "not run; 125: lost while it ran, it got SIGTERM; 126, 127: it cannot be run; 1: no server could be asked";

/** 2 for bad usage or configuration, 1 for any other failure. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return HedgerowError.is(error, "invalid_argument", "too_large", "wrong_cluster") ? 2 : 1;
}

/** As shells have it: 128 and the number of the signal that ended a process. */
export function signalExit(signal: NodeJS.Signals | number): number {
  const numbers: Readonly<Record<string, number>> = constants.signals;
  return 128 + (typeof signal === "number" ? signal : (numbers[signal] ?? 0));
}

/** The one line that says what went wrong and how to mend it, and the command's name once. */
export function errorLine(program: string, error: unknown): string {
  const message = oneLine(messageOf(error).trim());
  const words = program.split(" ");
  const own = [words.slice(1).join(" "), words.at(-1)].map((name) => `${name}: `);
  const [named] = own.filter((name) => message.startsWith(name));
  return `${program}: ${message.slice(named?.length ?? 0)}\n`;
}
