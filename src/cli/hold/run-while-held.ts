import { HedgerowError, messageOf } from "../../errors.ts";
import { MAX_STREAM_TIMEOUT_MS } from "../../rpc/limits.ts";
import { sleep } from "../../runtime/operation.ts";
import {
  type CallSettings,
  type HedgerowClient,
  type ServerChoice,
  withEachServer,
} from "../client.ts";
import type { CliContext } from "../context.ts";
import { errorLine, HOLD_EXIT, signalExit } from "../exit.ts";
import type { Environment } from "../flag.ts";
import { type HeldCommand, startCommand } from "./child.ts";
import { guardAgainstOurEnd } from "./guard.ts";
import { KeptHold } from "./keep.ts";
import { endOf, unconfirmed } from "./stream-end.ts";

/** What ignores SIGTERM after its claim was lost is killed after so many milliseconds. */
const KILL_AFTER_MS = 10_000;
const LOOK_EVERY_MS = 20;

/** What the node says when it has granted the claim. */
export interface Granted {
  /** Held for so many milliseconds from when this was sent. */
  readonly forMs: number;
  /** Added to the command's environment. */
  readonly environment: Environment;
}

/** What a claim is asked for with. */
export interface Asked extends CallSettings {
  /** Name under which signs of life are given. */
  readonly hold: string;
  /** How long it is waited for, in milliseconds. */
  readonly waitMs: number;
}

export interface HoldOptions {
  /** As typed, for messages: `hedgerow lock`. */
  readonly called: string;
  /** Nodes that may hold the claim, in the order in which they are tried. */
  readonly servers: ServerChoice;
  /** Program and arguments. */
  readonly command: readonly string[];
  /** How long the claim is waited for, at all servers together, in milliseconds. */
  readonly waitMs: number;
  /** Opens the stream: the first message is the grant, the end of the stream from either side releases. */
  readonly open: (client: HedgerowClient, asked: Asked) => AsyncIterable<Granted>;
}

/**
 * Runs a command while a claim is held, and gives its exit code. The command has this process's stdin, stdout
 * and stderr, and gets its signals. If the claim is lost the command gets SIGTERM, one line says so, and the
 * exit code is HOLD_EXIT.lost; if it is not had, HOLD_EXIT.notHad; after a signal before that, 128 and its number.
 */
export async function runWhileHeld(context: CliContext, options: HoldOptions): Promise<number> {
  const { clock } = context.runtime;
  const giveUpAt = clock.now() + options.waitMs;
  const endless = { ...options.servers, timeout: MAX_STREAM_TIMEOUT_MS };
  try {
    return await withEachServer(context, endless, (client, settings) =>
      holdAt(context, options, client, settings, Math.max(0, giveUpAt - clock.now())),
    );
  } catch (error) {
    const stoppedBy = context.stop.aborted ? context.stoppedBy() : null;
    if (stoppedBy !== null) {
      context.stderr.write(errorLine(options.called, `${stoppedBy}: the command was not run`));
      return signalExit(stoppedBy);
    }
    if (!HedgerowError.is(error, "taken", "already_held", "timeout")) throw error;
    context.stderr.write(errorLine(options.called, error));
    return HOLD_EXIT.notHad;
  }
}

async function holdAt(
  context: CliContext,
  options: HoldOptions,
  client: HedgerowClient,
  { timeoutMs, signal }: CallSettings,
  waitMs: number,
): Promise<number> {
  const { clock, random } = context.runtime;
  const stream = new AbortController();
  // A signal while it waits; later it is the command's.
  const cancel = () => stream.abort();
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    const hold = random.id();
    const asked = { hold, waitMs, timeoutMs, signal: stream.signal };
    const messages = options.open(client, asked)[Symbol.asyncIterator]();
    const { done, value: granted } = await messages.next();
    if (done) throw new HedgerowError("outcome_unknown", "the node ended the call: try again");
    const { forMs, environment } = granted;
    const kept = new KeptHold({ clock, client, hold, forMs, signal: stream.signal });
    const lost = endOf(messages);
    const confirmed = await Promise.race([kept.confirmed(), lost]);
    if (confirmed !== true) throw confirmed || unconfirmed();
    signal.removeEventListener("abort", cancel);
    const over = kept.untilOver().then(unconfirmed);
    return await runCommand(context, options, environment, Promise.race([over, lost]));
  } finally {
    signal.removeEventListener("abort", cancel);
    stream.abort(); // gives the claim back
  }
}

async function runCommand(
  context: CliContext,
  { called, command }: HoldOptions,
  environment: Environment,
  lost: Promise<HedgerowError>,
): Promise<number> {
  const env = { ...context.environment, ...environment };
  const child = startCommand(command, env, !context.hasTerminal());
  if ("error" in child) {
    context.stderr.write(errorLine(called, child.error));
    return child.exitCode;
  }
  const endGuard = guardAgainstOurEnd(child.target);
  const endSignals = context.takeSignals((name) => child.signal(name));
  try {
    const ended = await Promise.race([child.exited, lost]);
    if (typeof ended === "number") return ended;
    const message = `${messageOf(ended)}: lost, SIGTERM to the command`;
    context.stderr.write(errorLine(called, message));
    await terminate(context, child);
    return HOLD_EXIT.lost;
  } finally {
    endSignals();
    endGuard();
  }
}

/** Until no process of the command's group is left. */
async function terminate({ runtime: { clock } }: CliContext, child: HeldCommand): Promise<void> {
  const killAt = clock.now() + KILL_AFTER_MS;
  child.signal("SIGTERM");
  while (child.alive && clock.now() < killAt) await sleep(clock, LOOK_EVERY_MS);
  child.signal("SIGKILL");
  await child.exited;
}
