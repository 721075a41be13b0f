import { expect, test } from "bun:test";
import type { AnyCommandSpec } from "../../src/cli/command.ts";
import { cli } from "../cli/cli-kit.ts";
import { inFolder, Process } from "../cli/process-kit.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { randomBytes } from "./kit/bytes.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";
import { specs, typed } from "./kit/typed.ts";

// Whole command lines: each ends with its exit code and, if it failed, one line.

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
  const served = commands.get(command)?.flags.server === undefined ? [] : NOBODY;
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
        // The system takes no NUL in an argument, nor one over 128 KiB.
        const lines = [0, 1].map(() =>
          commandLine(prng, commands).map((word) => word.replaceAll("\0", "").slice(0, 20_000)),
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
