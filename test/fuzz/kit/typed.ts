import { expect } from "bun:test";
import type { AnyCommandSpec } from "../../../src/cli/command.ts";
import { COMMANDS, type Group, type Listed } from "../../../src/cli/commands.ts";
import { errorLine, exitCodeOf } from "../../../src/cli/exit.ts";
import type { Prng } from "../../simulation/world/prng.ts";
import { expectTyped } from "./errors.ts";
import { mutateText, text } from "./texts.ts";

/** Values that are right somewhere. */
const RIGHT = [
  "30s",
  "500ms",
  "3",
  "-1",
  "true",
  "auto",
  "json",
  ":8080",
  "127.0.0.1:9090",
  "a:1,b:2",
];
const FURTHER = ["sqlite:x.db", "spanner:projects/p1/instances/i1/databases/d1", "name=7", "none"];
const ORIGINS = ["https://a.example", "http://127.0.0.1:9090", "table_1", "registry.example/a:1"];

/** What somebody may type as a value. */
export const typed = (prng: Prng): string =>
  prng.chance(0.5) ? text(prng) : mutateText(prng, prng.pick([...RIGHT, ...FURTHER, ...ORIGINS]));

/** All commands by their words. */
export async function specs(): Promise<Map<string, AnyCommandSpec>> {
  const found = new Map<string, AnyCommandSpec>();
  const add = async (entries: Readonly<Record<string, Listed | Group>>, before: string) => {
    for (const [word, entry] of Object.entries(entries)) {
      if ("commands" in entry) await add(entry.commands, `${before}${word} `);
      else found.set(before + word, (await entry.load()).default);
    }
  };
  await add(COMMANDS, "");
  return found;
}

/** Fails unless it is an error that the command ends with in one line, and exit code 2. */
export function expectUsageError(error: unknown, what: string): void {
  const code = expectTyped(error, () => what);
  expect(["invalid_argument", "too_large"]).toContain(code);
  expect(exitCodeOf(error)).toBe(2);
  const line = errorLine("hedgerow", error);
  expect(line.trimEnd()).not.toContain("\n");
  expect(line).not.toMatch(/\n? {4}at /);
}
