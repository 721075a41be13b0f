import { dlopen, ptr } from "bun:ffi";
import { readdirSync, readFileSync } from "node:fs";
import { HedgerowError } from "../errors.ts";
import { type Clock, type Random, type Runtime, ulid } from "./runtime.ts";

// clock_gettime's ids for a monotonic clock that counts suspend: CLOCK_BOOTTIME of Linux, and
// CLOCK_MONOTONIC of macOS, which counts sleep there.
const PLATFORMS = {
  linux: { library: "libc.so.6", clockId: 7 },
  darwin: { library: "libSystem.B.dylib", clockId: 6 },
} as const;
const CLOCK_REALTIME = 0;

/** The clock of this machine. */
export function systemClock(): Clock {
  const platform = PLATFORMS[process.platform as keyof typeof PLATFORMS];
  if (platform === undefined) {
    throw new HedgerowError(
      "not_supported",
      `${process.platform} is not supported: use Linux or macOS`,
    );
  }
  const { symbols } = dlopen(platform.library, {
    clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  });
  const timespec = new BigInt64Array(2);
  // Seconds and nanoseconds fit in the low halves of the two (little-endian) words.
  const words = new Uint32Array(timespec.buffer);
  const address = ptr(timespec);
  return {
    now() {
      symbols.clock_gettime(platform.clockId, address);
      return (words[0] as number) * 1e3 + (words[2] as number) / 1e6;
    },
    wallMicros() {
      symbols.clock_gettime(CLOCK_REALTIME, address);
      return (words[0] as number) * 1e6 + Math.floor((words[2] as number) / 1e3);
    },
    schedule(ms, run) {
      if (ms <= 0) {
        const immediate = setImmediate(run);
        return { cancel: () => clearImmediate(immediate) };
      }
      const timer = setTimeout(run, Math.min(ms, 2 ** 31 - 1));
      return { cancel: () => clearTimeout(timer) };
    },
    bootId: readBootId(),
  };
}

function readBootId(): string {
  if (process.platform === "linux") {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  }
  const asked = Bun.spawnSync(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]);
  return asked.stdout.toString().trim();
}

/** Randomness of this machine. */
export function systemRandom(): Random {
  const pool = new Uint8Array(4096);
  let used = pool.length;
  const nextByte = () => {
    if (used === pool.length) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    return pool[used++] as number;
  };
  return { next: Math.random, id: () => ulid(Date.now(), nextByte) };
}

export function systemRuntime(): Runtime {
  return { clock: systemClock(), random: systemRandom() };
}

/** A variable of this process's environment; null where it is unset or empty. */
export function environmentVariable(name: string): string | null {
  return process.env[name] || null;
}

/** What this process takes of the machine. */
export interface ProcessBurden {
  readonly residentBytes: number;
  /** In user and in system mode. */
  readonly cpuMicros: number;
}

export function processBurden(): ProcessBurden {
  const { user, system } = process.cpuUsage();
  return { residentBytes: process.memoryUsage.rss(), cpuMicros: user + system };
}

/** What the machine says of this process. */
export interface ProcessFigures extends ProcessBurden {
  /** Milliseconds since the epoch. */
  readonly startedAtMs: number;
  /** Open files and sockets. */
  readonly openFiles: number;
}

export function processFigures(): ProcessFigures {
  const files = process.platform === "linux" ? "/proc/self/fd" : "/dev/fd";
  return {
    ...processBurden(),
    startedAtMs: performance.timeOrigin,
    openFiles: readdirSync(files).length - 1, // without the one that reads the folder
  };
}
