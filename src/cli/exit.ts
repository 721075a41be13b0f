import { HedgerowError, messageOf } from "../errors.ts";
import { oneLine } from "../observe/format.ts";

/** 2 for bad usage or configuration, 1 for any other failure. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return HedgerowError.is(error, "invalid_argument", "too_large", "wrong_cluster") ? 2 : 1;
}

/** The one line that says what went wrong and how to mend it, and the command's name once. */
export function errorLine(program: string, error: unknown): string {
  const message = oneLine(messageOf(error).trim());
  const words = program.split(" ");
  const own = [words.slice(1).join(" "), words.at(-1)].map((name) => `${name}: `);
  const [named] = own.filter((name) => message.startsWith(name));
  return `${program}: ${message.slice(named?.length ?? 0)}\n`;
}
