import { HedgerowError, messageOf } from "../../errors.ts";
import { MAX_STREAM_TIMEOUT_MS } from "../../rpc/limits.ts";
import { sleep } from "../../runtime/operation.ts";
import { type CallSettings, type HedgerowClient, withClient } from "../client.ts";
import type { CliContext } from "../context.ts";
import { errorLine } from "../exit.ts";
import type { Environment } from "../flag.ts";
import { exitCodeOf, type HeldCommand, startCommand } from "./child.ts";
import { guardAgainstOurEnd } from "./guard.ts";
import { keepHold } from "./keep.ts";
import { type Held, untilLost } from "./watch.ts";

/** A command that ignores SIGTERM after its claim was lost is killed after so many milliseconds. */
const KILL_AFTER_MS = 10_000;

/** What the node says when it has granted the claim. */
export interface Granted extends Held {
  /** Added to the command's environment. */
  readonly environment: Environment;
}

export interface HoldOptions {
  /** As typed, for messages: `hedgerow lock`. */
  readonly called: string;
  /** Of the node that holds the claim. */
  readonly server: string;
  /** Program and arguments. */
  readonly command: readonly string[];
  /**
   * Opens the stream: the first message is the grant, the end of the stream from either side releases. Signs of
   * life are given under the name `hold`.
   */
  readonly open: (
    client: HedgerowClient,
    hold: string,
    settings: CallSettings,
  ) => AsyncIterable<Granted>;
}

/**
 * Runs a command while a claim is held, and gives its exit code. The command has this process's stdin, stdout
 * and stderr, and gets its signals. If the claim is lost the command gets SIGTERM, one line says so, and the
 * exit code is 1.
 */
export function runWhileHeld(context: CliContext, options: HoldOptions): Promise<number> {
  const client = { server: options.server, timeout: MAX_STREAM_TIMEOUT_MS };
  return withClient(context, client, async (opened, { timeoutMs, signal }) => {
    const stream = new AbortController();
    // Ctrl-C while it waits; later it is the command's.
    const cancel = () => stream.abort();
    signal.addEventListener("abort", cancel, { once: true });
    if (signal.aborted) cancel();
    try {
      const settings = { timeoutMs, signal: stream.signal };
      const hold = context.runtime.random.id();
      const messages = options.open(opened, hold, settings)[Symbol.asyncIterator]();
      const granted = await firstOf(messages, signal);
      void keepHold(context.runtime.clock, opened, hold, granted, stream.signal);
      return await runCommand(context, options, granted, messages);
    } finally {
      signal.removeEventListener("abort", cancel);
      stream.abort(); // gives the claim back
    }
  });
}

async function firstOf(messages: AsyncIterator<Granted>, stop: AbortSignal): Promise<Granted> {
  const { done, value } = await messages.next().catch((thrown: unknown) => {
    if (!stop.aborted) throw thrown;
    const message = "stopped while it waited: the command was not run";
    throw new HedgerowError("canceled", message, { cause: thrown });
  });
  if (done) throw new HedgerowError("outcome_unknown", "the node ended the call: try again");
  return value;
}

async function runCommand(
  context: CliContext,
  { called, command }: HoldOptions,
  granted: Granted,
  messages: AsyncIterator<Held>,
): Promise<number> {
  const lost = untilLost(context.runtime.clock, granted, messages);
  const child = startCommand(command, { ...context.environment, ...granted.environment });
  if ("error" in child) {
    context.stderr.write(errorLine(called, child.error));
    return child.exitCode;
  }
  const endGuard = guardAgainstOurEnd(child.pid);
  const endSignals = context.takeSignals((name) => child.kill(name));
  try {
    const ended = child.exited.then(() => null);
    const why = await Promise.race([ended, lost]);
    if (why === null) return exitCodeOf(child);
    const message = `${messageOf(why)}: lost, SIGTERM to the command`;
    context.stderr.write(errorLine(called, message));
    await terminate(context, child);
    return 1;
  } finally {
    endSignals();
    endGuard();
  }
}

async function terminate({ runtime }: CliContext, child: HeldCommand): Promise<void> {
  const inTime = new AbortController();
  child.kill("SIGTERM");
  const overdue = sleep(runtime.clock, KILL_AFTER_MS, inTime.signal).then(
    () => child.kill("SIGKILL"),
    () => {}, // it ended in time
  );
  await child.exited;
  inTime.abort();
  await overdue;
}
