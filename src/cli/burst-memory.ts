import type { Clock, Timer } from "../runtime/runtime.ts";
import type { ProcessBurden } from "../runtime/system.ts";

/** So often it is looked, in milliseconds. */
const LOOK_INTERVAL_MS = 2_000;
/** Less growth is left to the garbage collector, in bytes. */
const GROWN_BYTES = 64 * 1024 * 1024;
/** A process that takes less of a processor than this share is quiet. */
const QUIET_SHARE = 0.1;

interface Look extends ProcessBurden {
  readonly atMs: number;
}

/** Whether a process has grown since it was at its smallest, and has had nothing to do between two looks. */
export function isLeftOver(before: Look, now: Look, smallestBytes: number): boolean {
  const share = (now.cpuMicros - before.cpuMicros) / ((now.atMs - before.atMs) * 1e3);
  return share < QUIET_SHARE && now.residentBytes - smallestBytes > GROWN_BYTES;
}

/**
 * Gives back what a burst of work has left: to a process that has become quiet, the garbage collector may not come by
 * itself. `giveBack` also drops compiled code, so that it must not happen under load. Ends with the result's `cancel`.
 */
export function giveBackAfterBursts(
  clock: Clock,
  burden: () => ProcessBurden,
  giveBack: () => void,
): Timer {
  const look = (): Look => ({ ...burden(), atMs: clock.now() });
  let before = look();
  let smallestBytes = before.residentBytes;
  let gaveBack = false;
  const next = () => {
    const now = look();
    // What is still there after it was asked for is in use.
    smallestBytes = gaveBack ? now.residentBytes : Math.min(smallestBytes, now.residentBytes);
    gaveBack = isLeftOver(before, now, smallestBytes);
    if (gaveBack) giveBack();
    before = now;
    timer = clock.schedule(LOOK_INTERVAL_MS, next);
  };
  let timer = clock.schedule(LOOK_INTERVAL_MS, next);
  return { cancel: () => timer.cancel() };
}
