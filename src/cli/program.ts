import { Command, CommanderError } from "commander";
import { description, version } from "../../package.json";
import { HedgerowError } from "../errors.ts";
import { type AnyCommandSpec, declare, type Typed } from "./command.ts";
import type { CliContext, Output } from "./context.ts";
import { errorLine, exitCodeOf } from "./exit.ts";
import { resolveFlags } from "./flag.ts";

interface Listed {
  readonly summary: string;
  /** Loads the command's own file: one command does not pay for what another needs. */
  readonly load: () => Promise<{ readonly default: AnyCommandSpec }>;
}

const COMMANDS: Readonly<Record<string, Listed>> = {
  serve: { summary: "run one node in the foreground", load: () => import("./serve.ts") },
  dev: { summary: "run a local cluster of real processes", load: () => import("./dev.ts") },
  put: { summary: "append a version to a key", load: () => import("./put.ts") },
  get: { summary: "print versions of a key, newest first", load: () => import("./get.ts") },
  send: { summary: "send a message to the leader", load: () => import("./send.ts") },
  broadcast: { summary: "send a message to all members", load: () => import("./broadcast.ts") },
  members: { summary: "list the members", load: () => import("./members.ts") },
  leader: { summary: "print the leader's address", load: () => import("./leader.ts") },
  status: { summary: "print what a node knows", load: () => import("./status.ts") },
  doctor: {
    summary: "check what a node needs, and how to mend it",
    load: () => import("./doctor.ts"),
  },
};

/** Runs what was typed and gives the exit code. Never throws. */
export async function runProgram(context: CliContext): Promise<number> {
  const first = context.argv[0] === "help" ? context.argv[1] : context.argv[0];
  const name = first !== undefined && Object.hasOwn(COMMANDS, first) ? first : undefined;
  const called = name === undefined ? "hedgerow" : `hedgerow ${name}`;
  try {
    return await run(context, name);
  } catch (error) {
    if (error instanceof CommanderError) return commanderEnd(context, called, error);
    context.stderr.write(errorLine(called, error));
    return exitCodeOf(error);
  }
}

async function run(context: CliContext, name: string | undefined): Promise<number> {
  const spec = name === undefined ? undefined : (await COMMANDS[name]?.load())?.default;
  const typed = parse(context, name, spec);
  if (spec === undefined || typed === undefined) {
    throw new HedgerowError("invalid_argument", 'no command given: see "hedgerow --help"');
  }
  const config = resolveFlags(spec.flags, typed.given, context.environment);
  return (await spec.run(context, config, typed.operands)) ?? 0;
}

function parse(
  context: CliContext,
  name: string | undefined,
  spec: AnyCommandSpec | undefined,
): Typed | undefined {
  let typed: Typed | undefined;
  const program = new Command("hedgerow")
    .description(description)
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .exitOverride()
    .configureOutput(outputs(context));
  for (const [listed, { summary }] of Object.entries(COMMANDS)) {
    if (name !== undefined && name !== listed) continue; // nobody sees the list: it would cost 1 ms
    const target = program.command(listed).description(summary);
    target.helpOption("-h, --help", "print this help").configureOutput(outputs(context));
    if (listed === name && spec !== undefined) declare(target, spec, (found) => (typed = found));
  }
  if (context.argv.length > 0) program.parse([...context.argv], { from: "user" });
  return typed;
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
  const [problem, ...suggestion] = error.message.replace(/^error: |\.$/g, "").split("\n");
  const mend = suggestion.length > 0 ? ` ${suggestion.join(" ")}` : `: see "${called} --help"`;
  context.stderr.write(errorLine(called, `${problem}${mend}`));
  return 2;
}
