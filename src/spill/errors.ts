import { HedgerowError } from "../errors.ts";
import type { Loss, StoredSegment } from "./catalog.ts";

const STATES = { data_lost: "lost", out_of_reach: "out of reach" } as const;

/** Of records that are gone, or that may be there again later. */
export function lostRecords(
  name: string,
  { first: from, end: to }: StoredSegment,
  { code, why }: Loss,
): HedgerowError {
  const message = `spill store ${name}: records ${from} to ${to - 1} are ${STATES[code]}: ${why}`;
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
