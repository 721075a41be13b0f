import type { CliContext, Output } from "../../src/cli/context.ts";
import type { Environment } from "../../src/cli/flag.ts";
import { runProgram } from "../../src/cli/program.ts";
import { systemRuntime } from "../../src/runtime/system.ts";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliKit {
  readonly context: CliContext;
  /** What was written so far. */
  readonly written: { stdout: string; stderr: string };
  readonly stop: AbortController;
}

/** A process's surroundings in memory. Without `stdin` that stays open and gives nothing. */
export function cliKit(
  argv: readonly string[],
  environment: Environment = {},
  stdin?: Uint8Array<ArrayBuffer>,
): CliKit {
  const written = { stdout: "", stderr: "" };
  const output = (name: keyof typeof written): Output => ({
    isTerminal: false,
    columns: () => 80,
    pendingBytes: () => 0,
    async writeBytes(bytes) {
      written[name] += new TextDecoder().decode(bytes);
    },
    write(text) {
      written[name] += text;
    },
  });
  const stop = new AbortController();
  const context: CliContext = {
    argv,
    environment,
    runtime: systemRuntime(),
    stdin: () => (stdin === undefined ? new ReadableStream() : new Blob([stdin]).stream()),
    stdout: output("stdout"),
    stderr: output("stderr"),
    stop: stop.signal,
    stoppedBy: () => (stop.signal.aborted ? "SIGINT" : null),
    force: new AbortController().signal,
    takeSignals: () => () => {},
    hasTerminal: () => false,
    program: ["unused"],
  };
  return { context, written, stop };
}

/** Runs the program in this process. */
export async function cli(
  argv: readonly string[],
  environment: Environment = {},
  stdin?: Uint8Array<ArrayBuffer>,
): Promise<Ran> {
  const { context, written } = cliKit(argv, environment, stdin);
  return { code: await runProgram(context), ...written };
}
