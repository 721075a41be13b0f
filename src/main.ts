#!/usr/bin/env bun
import { readFileSync } from "node:fs";
import { isatty } from "node:tty";
import type { Output } from "./cli/context.ts";
import { errorLine } from "./cli/exit.ts";
import { runProgram } from "./cli/program.ts";
import { systemRuntime } from "./runtime/system.ts";

// The only file that reads argv, the environment and signals.

/** A leak keeps the process no longer than this many milliseconds after its work is done. */
const EXIT_GRACE_MS = 3_000;

/** For so long most of what runs is run once: the JIT holds back (scripts/build.ts), which ends then. */
const START_MS = 500;

/** One Ctrl-C may come twice, from the terminal and from `bun run`: for so many milliseconds it is still one. */
const SAME_STOP_MS = 500;

const stop = new AbortController();
const force = new AbortController();
let firstStop: { readonly name: NodeJS.Signals; readonly at: number } | null = null;
let taker: ((name: NodeJS.Signals) => void) | null = null;

function onStopSignal(name: NodeJS.Signals): void {
  if (taker !== null) {
    if (!isFromTerminal(name)) taker(name);
  } else if (firstStop === null) {
    firstStop = { name, at: performance.now() };
    stop.abort();
  } else if (performance.now() - firstStop.at >= SAME_STOP_MS) {
    exitNow();
  }
}

/** Ctrl-C and Ctrl-\\ come to all processes of the terminal's foreground. */
function isFromTerminal(name: NodeJS.Signals): boolean {
  return (name === "SIGINT" || name === "SIGQUIT") && hasTerminal();
}

function hasTerminal(): boolean {
  return [0, 1, 2].some((descriptor) => isatty(descriptor));
}

/** They end the process where nobody takes them, as they should. */
const TAKEN_ONLY = ["SIGQUIT", "SIGUSR1", "SIGUSR2"] as const;

function takeSignals(take: (name: NodeJS.Signals) => void): () => void {
  taker = take;
  for (const name of TAKEN_ONLY) process.on(name, onStopSignal);
  return () => {
    taker = null;
    for (const name of TAKEN_ONLY) process.off(name, onStopSignal);
  };
}

function exitNow(): never {
  force.abort();
  process.exit(1);
}

/** Under nohup a closed terminal means nothing. Signal 1 is the lowest bit of the mask. */
function hangUpIsIgnored(): boolean {
  if (process.platform !== "linux") return false;
  const mask = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return mask !== undefined && (BigInt(`0x${mask}`) & 1n) === 1n;
}

/**
 * Counts what the reader has not taken yet, as Bun's own count stays at zero. The stream is made when it is
 * needed: Bun loads 2 MB and 1 ms of modules with the first.
 */
function output(name: "stdout" | "stderr", onBroken: (error: Error) => void): Output {
  let pending = 0;
  let opened: NodeJS.WriteStream | null = null;
  const stream = () => (opened ??= process[name].on("error", onBroken));
  return {
    get isTerminal() {
      return stream().isTTY === true;
    },
    columns: () => stream().columns || 80,
    pendingBytes: () => pending,
    // What becomes of a reader that has gone is the business of onBroken.
    writeBytes: (bytes) => new Promise((resolve) => stream().write(bytes, () => resolve())),
    write(text) {
      const bytes = Buffer.byteLength(text);
      pending += bytes;
      stream().write(text, () => {
        pending -= bytes;
      });
    },
  };
}

/** Where nobody reads on there is nothing left to do; what is lost otherwise, as on a full disk, is a failure. */
function onStdoutBroken(error: Error): void {
  if (!("code" in error) || error.code !== "EPIPE") {
    process.stderr.write(errorLine("hedgerow", `stdout: ${error.message}`));
    process.exitCode = 1;
  }
  stop.abort();
}

process.on("SIGINT", onStopSignal);
process.on("SIGTERM", onStopSignal);
if (!hangUpIsIgnored()) process.on("SIGHUP", onStopSignal);
for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, (error: unknown) => {
    process.stderr.write(errorLine("hedgerow: defect", error));
    exitNow();
  });
}

// Google's library warns of what its look for credentials met with; our one line says that there are none.
process.emitWarning = new Proxy(process.emitWarning, {
  apply(emit, self, warning) {
    if (warning[1] !== "MetadataLookupWarning") Reflect.apply(emit, self, warning);
  },
});

setTimeout(() => Bun.unsafe.setJITPolicy(1), START_MS).unref();

// Run from source, Bun is the program and this file its argument; compiled, both are one.
const compiled = Bun.main.startsWith("/$bunfs/");

const exitCode = await runProgram({
  argv: process.argv.slice(2),
  environment: process.env,
  runtime: systemRuntime(),
  stdin: () => Bun.stdin.stream(),
  stdout: output("stdout", onStdoutBroken),
  stderr: output("stderr", () => {}), // nobody reads on: the work matters more
  stop: stop.signal,
  stoppedBy: () => firstStop?.name ?? null,
  force: force.signal,
  takeSignals,
  hasTerminal,
  program: compiled ? [process.execPath] : [process.execPath, Bun.main],
});
process.exitCode ||= exitCode;
setTimeout(() => process.exit(), EXIT_GRACE_MS).unref();
