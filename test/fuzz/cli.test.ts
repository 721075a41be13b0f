import { describe, expect, test } from "bun:test";
import type { AnyCommandSpec } from "../../src/cli/command.ts";
import { COMMANDS, type Group, type Listed } from "../../src/cli/commands.ts";
import { errorLine, exitCodeOf } from "../../src/cli/exit.ts";
import { resolveFlags } from "../../src/cli/flag.ts";
import { splitAddress } from "../../src/node/address.ts";
import { parseDuration } from "../../src/node/duration.ts";
import { checkOptions } from "../../src/node/options.ts";
import { parseStore } from "../../src/store/open.ts";
import { cli } from "../cli/cli-kit.ts";
import { inFolder, Process } from "../cli/process-kit.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { asyncRounds, boundMs, rounds } from "./kit/rounds.ts";
import { mutateText, text } from "./kit/texts.ts";

// What is typed: each value is understood, or refused in one line that says what to give.

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

const typed = (prng: Prng): string =>
  prng.chance(0.5) ? text(prng) : mutateText(prng, prng.pick([...RIGHT, ...FURTHER, ...ORIGINS]));

/** All commands by their words. */
async function specs(): Promise<Map<string, AnyCommandSpec>> {
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

function expectUsageError(error: unknown, what: string): void {
  const code = expectTyped(error, () => what);
  expect(["invalid_argument", "too_large"]).toContain(code);
  expect(exitCodeOf(error)).toBe(2);
  const line = errorLine("hedgerow", error);
  expect(line.trimEnd()).not.toContain("\n");
  expect(line).not.toMatch(/\n? {4}at /);
}

test(
  "every flag of every command takes any text, or says what to give instead",
  async () => {
    const commands = await specs();
    const taken = new Set<string>();
    const refused = new Set<string>();
    rounds(60, (prng) => {
      for (const [command, { flags }] of commands) {
        for (const key of Object.keys(flags)) {
          const given = typed(prng);
          try {
            const byFlag = resolveFlags(flags, { [key]: given }, {})[key];
            expect(typeof byFlag === "number" && !Number.isFinite(byFlag)).toBe(false);
            taken.add(key);
          } catch (error) {
            expectUsageError(error, `${command} --${key} ${JSON.stringify(given)}`);
            refused.add(key);
          }
        }
      }
    });
    expect(taken.size).toBeGreaterThan(20);
    expect(refused.size).toBeGreaterThan(20);
  },
  boundMs(30_000),
);

describe("parsers alone", () => {
  const PARSERS: Readonly<Record<string, (given: string) => unknown>> = {
    parseDuration,
    splitAddress,
    parseStore,
    checkOptions: (given) => checkOptions({ lease: given, name: given, store: given }),
  };
  for (const [name, parse] of Object.entries(PARSERS)) {
    test(
      `${name} gives a value or a typed error`,
      () => {
        rounds(1_000, (prng) => {
          const given = typed(prng);
          try {
            parse(given);
          } catch (error) {
            expectUsageError(error, `${name} of ${JSON.stringify(given)}`);
          }
        });
      },
      boundMs(30_000),
    );
  }
});

test(
  "options of any kind are taken, or named with what they must be",
  () => {
    const values = [
      null,
      undefined,
      true,
      7,
      -1,
      1.5,
      Number.NaN,
      Infinity,
      "30s",
      "",
      {},
      [],
      () => {},
      7n,
    ];
    const keys = Object.keys(checkOptions({})).concat(
      "lease",
      "syncInterval",
      "keepAge",
      "nonsense",
    );
    rounds(1_000, (prng) => {
      const options = Object.fromEntries(
        Array.from({ length: 1 + prng.int(3) }, () => [prng.pick(keys), prng.pick(values)]),
      );
      try {
        checkOptions(options);
      } catch (error) {
        expectUsageError(error, `options ${Object.keys(options)}`);
      }
    });
  },
  boundMs(30_000),
);

/** Commands that do nothing on this machine, where no server answers. */
const HARMLESS = [
  "put",
  "get",
  "send",
  "broadcast",
  "members",
  "leader",
  "status",
  "watch",
  "lock",
  "semaphore acquire",
  "k8s manifest",
  "schema print",
  "nothing",
  "help",
  "semaphore",
  "",
];
const NOBODY = ["--server", "http://127.0.0.1:1"];

/** A command line, most of which some command would take. */
function commandLine(prng: Prng, commands: ReadonlyMap<string, AnyCommandSpec>): string[] {
  const command = prng.pick(HARMLESS);
  const words = command.split(" ").filter((word) => word !== "");
  const flags = Object.keys(commands.get(command)?.flags ?? {}).filter((key) => key !== "server");
  const argv = Array.from({ length: prng.int(4) }, () => {
    const key = prng.pick([...flags, "nonsense"]);
    const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return prng.pick([[flag, typed(prng)], [`${flag}=${typed(prng)}`], [typed(prng)], ["-", "x"]]);
  }).flat();
  const run = prng.chance(0.3) ? ["--", typed(prng)] : [];
  const served = commands.get(command)?.flags["server"] === undefined ? [] : NOBODY;
  return [...words, ...served, ...argv, ...run].filter((word) => !word.startsWith("--server="));
}

function expectOneLine(argv: readonly string[], code: number | null, stderr: string): void {
  const lines = stderr.split("\n").length - 1;
  const fine = code === 0 ? lines <= 1 : (code === 1 || code === 2) && lines === 1;
  if (fine && !/ {4}at |defect|internal/.test(stderr)) return;
  throw new Error(`${JSON.stringify(argv)}: exit code ${code}: ${stderr}`);
}

test(
  "any command line ends with its exit code and, if it failed, one line",
  async () => {
    const commands = await specs();
    const codes = new Set<number>();
    await asyncRounds(400, async (prng) => {
      const argv = commandLine(prng, commands);
      const { code, stderr } = await cli(argv, {}, randomBytes(prng, 100));
      codes.add(code);
      expectOneLine(argv, code, stderr);
    });
    expect([...codes].sort()).toEqual([0, 1, 2]);
  },
  boundMs(60_000),
);

test(
  "so does the command in a process of its own",
  async () => {
    const commands = await specs();
    await inFolder(async (folder) => {
      await asyncRounds(12, async (prng) => {
        // The system takes no NUL in an argument.
        const lines = [0, 1].map(() =>
          commandLine(prng, commands).map((word) => word.replaceAll("\0", "")),
        );
        await Promise.all(
          lines.map(async (argv) => {
            const running = new Process(argv, folder);
            running.child.stdin.end();
            expectOneLine(argv, await running.ended(), running.stderr);
          }),
        );
      });
    });
  },
  boundMs(60_000),
);
