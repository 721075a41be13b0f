import { HedgerowError } from "../errors.ts";
import type { Loss, StoredSegment } from "./catalog.ts";

const STATES = { data_lost: "lost", out_of_reach: "out of reach" } as const;

/** What to do about records that are gone, or that may be there again later. */
const MENDS = {
  reading: {
    data_lost: (end: number) => `read on from ${end}`,
    out_of_reach: (end: number) => `read them again later, or on from ${end}`,
  },
  writing: {
    data_lost: () => "close the store and begin anew",
    out_of_reach: () => "append again later",
  },
} as const;

/** Of records that are gone, or that may be there again later, to who was about to do what. */
export function lostRecords(
  name: string,
  { first: from, end: to }: StoredSegment,
  { code, why }: Loss,
  about: keyof typeof MENDS,
): HedgerowError {
  const what = `records ${from} to ${to - 1} are ${STATES[code]}: ${why}`;
  const message = `spill store ${name}: ${what}: ${MENDS[about][code](to)}`;
  return new HedgerowError(code, message, { lost: { from, to } });
}

export function stoppedNode(): HedgerowError {
  return new HedgerowError("stopped", "the node is stopping");
}

export function closedStore(name: string): HedgerowError {
  return new HedgerowError("not_found", `spill store ${name} was closed: open it anew`);
}

export function expiredStore(name: string, expiryMs: number): HedgerowError {
  return new HedgerowError(
    "not_found",
    `spill store ${name} has expired, as nobody used it for ${expiryMs} ms: open it anew`,
  );
}
