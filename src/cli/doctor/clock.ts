import type { Clock } from "../../runtime/runtime.ts";
import { failed, fine, type Finding } from "./finding.ts";

/** No machine that runs this is older than this version: 2026-01-01. */
const EARLIEST_MS = 1_767_225_600_000;
/** A file may be this many milliseconds ahead: file systems round, and clocks are being set. */
const MAX_AHEAD_MS = 60_000;

/** `writtenMs`: when the store's file was last written, if there is one. */
export function checkClocks(clock: Clock, writtenMs: number | null): Finding[] {
  return [wallClock(clock.wallMicros() / 1000, writtenMs), bootClock(clock)];
}

function wallClock(nowMs: number, writtenMs: number | null): Finding {
  const shown = new Date(nowMs).toISOString();
  if (nowMs < EARLIEST_MS) {
    return failed("wall clock", `it says ${shown}`, "set the clock, as by NTP");
  }
  if (writtenMs !== null && writtenMs - nowMs > MAX_AHEAD_MS) {
    const seconds = Math.round((writtenMs - nowMs) / 1000);
    return failed(
      "wall clock",
      `it says ${shown}, ${seconds} s before the store's file was written`,
      "set the clock, as by NTP",
    );
  }
  return fine("wall clock", shown);
}

function bootClock(clock: Clock): Finding {
  const before = clock.now();
  const upMs = clock.now();
  if (clock.bootId === "" || upMs < before || before <= 0) {
    return failed(
      "boot clock",
      "it stands still or does not name its boot",
      "give the process /proc and the clock of its machine",
    );
  }
  return fine("boot clock", `${Math.round(upMs / 1000)} s since boot`);
}
