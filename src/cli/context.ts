import type { TextOutput } from "../observe/bounded.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Environment } from "./flag.ts";

export interface Output extends TextOutput {
  /** Whether a person looks at it, through a terminal. */
  readonly isTerminal: boolean;
  /** Width of that terminal in columns, at this moment. */
  columns(): number;
  /** Resolves once the reader has taken it. */
  writeBytes(bytes: Uint8Array): Promise<void>;
}

/** All that a command gets from its process; only main.ts makes a real one. */
export interface CliContext {
  /** What was typed after the program's name. */
  readonly argv: readonly string[];
  readonly environment: Environment;
  readonly runtime: Runtime;
  readonly stdin: () => ReadableStream<Uint8Array>;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP: finish what is under way and return. */
  readonly stop: AbortSignal;
  /** Which of them it was; null as long as none came. */
  readonly stoppedBy: () => NodeJS.Signals | null;
  /** Aborts at a later one (main.ts says how much later), right before the process exits: only what takes no time. */
  readonly force: AbortSignal;
  /**
   * Gives signals to `take` from now on, in place of `stop` and `force`, until the result is called: SIGINT,
   * SIGTERM, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2. Not those which a terminal sends to child processes as well.
   */
  readonly takeSignals: (take: (name: NodeJS.Signals) => void) => () => void;
  /** Whether one of stdin, stdout and stderr is a terminal, which sends its signals to child processes as well. */
  readonly hasTerminal: () => boolean;
  /** Command and arguments that start this very program again. */
  readonly program: readonly string[];
}
