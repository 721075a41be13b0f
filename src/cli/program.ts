import { Command, CommanderError } from "commander";
import { description, version } from "../../package.json";
import { HedgerowError } from "../errors.ts";
import { type AnyCommandSpec, declare, type Typed } from "./command.ts";
import { COMMANDS, commandWords, type Group, type Listed, listedAt } from "./commands.ts";
import type { CliContext, Output } from "./context.ts";
import { errorLine, exitCodeOf } from "./exit.ts";
import { namedAsSet, resolveFlags } from "./flag.ts";

/** Runs what was typed and gives the exit code. Never throws. */
export async function runProgram(context: CliContext): Promise<number> {
  const argv = helpLast(context.argv);
  const words = commandWords(argv);
  const called = ["hedgerow", ...words].join(" ");
  try {
    return await run(context, argv, words);
  } catch (error) {
    if (error instanceof CommanderError) return commanderEnd(context, called, error);
    // No signal came: whoever read the output has gone, as "head" does, and needs no more of it.
    if (context.stop.aborted && context.stoppedBy() === null) return 0;
    context.stderr.write(errorLine(called, error));
    return exitCodeOf(error);
  }
}

async function run(
  context: CliContext,
  argv: readonly string[],
  words: readonly string[],
): Promise<number> {
  const listed = listedAt(words);
  const spec = listed === undefined ? undefined : (await listed.load()).default;
  const typed = parse(context, argv, words, spec);
  if (spec === undefined || typed === undefined) throw noCommand("hedgerow");
  const config = resolveFlags(spec.flags, typed.given, context.environment);
  try {
    return (await spec.run(context, config, typed.operands)) ?? 0;
  } catch (error) {
    throw namedAsSet(error, spec.flags, typed.given, context.environment);
  }
}

/** `help serve` asks for what `serve --help` does. */
function helpLast(argv: readonly string[]): readonly string[] {
  return argv[0] === "help" ? [...argv.slice(1), "--help"] : argv;
}

function parse(
  context: CliContext,
  argv: readonly string[],
  words: readonly string[],
  spec: AnyCommandSpec | undefined,
): Typed | undefined {
  let typed: Typed | undefined;
  const take = (found: Typed) => {
    typed = found;
  };
  const program = new Command("hedgerow")
    .description(description)
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .enablePositionalOptions() // so that `--` comes to the command that it was typed after
    .exitOverride()
    .configureOutput(outputs(context));
  addCommands(context, program, COMMANDS, words, (target) => {
    if (spec !== undefined) declare(target, spec, take);
  });
  if (argv.length > 0) program.parse([...argv], { from: "user" });
  return typed;
}

/** Adds the command of that name and what is under it; all of them, by name and summary, if it has none of that name. */
function addCommands(
  context: CliContext,
  parent: Command,
  commands: Readonly<Record<string, Listed | Group>>,
  [word, ...rest]: readonly string[],
  onNamed: (target: Command) => void,
): void {
  for (const [name, entry] of Object.entries(commands)) {
    if (word !== undefined && word !== name) continue; // nobody sees the list: it would cost 1 ms
    const target = parent.command(name).description(entry.summary);
    target.helpOption("-h, --help", "print this help").configureOutput(outputs(context));
    if ("commands" in entry) {
      target.helpCommand(false).enablePositionalOptions();
      addCommands(context, target, entry.commands, rest, onNamed);
    } else if (word === name) {
      onNamed(target);
    }
  }
}

function noCommand(called: string): HedgerowError {
  return new HedgerowError("invalid_argument", `no command given: see "${called} --help"`);
}

function outputs(context: CliContext) {
  return {
    writeOut: (text: string) => context.stdout.write(text),
    writeErr: () => {}, // the one line of an error is written by commanderEnd
    getOutHelpWidth: () => width(context.stdout),
    getErrHelpWidth: () => width(context.stderr),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  };
}

function width(output: Output): number {
  return output.isTerminal ? output.columns() : 100;
}

/** commander throws also after it has printed the help or the version. */
function commanderEnd(context: CliContext, called: string, error: CommanderError): number {
  if (error.exitCode === 0) return 0;
  if (error.code === "commander.help") {
    context.stderr.write(errorLine(called, noCommand(called)));
    return 2;
  }
  const [problem, ...suggestion] = error.message.replace(/^error: |\.$/g, "").split("\n");
  const mend = suggestion.length > 0 ? ` ${suggestion.join(" ")}` : `: see "${called} --help"`;
  context.stderr.write(errorLine(called, `${problem}${mend}`));
  return 2;
}
