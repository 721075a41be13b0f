import { HedgerowError } from "../errors.ts";
import type { StoredSegment } from "./catalog.ts";

export function lostRecords(name: string, stored: StoredSegment, why: string): HedgerowError {
  const { first: from, end: to } = stored;
  return new HedgerowError(
    "data_lost",
    `spill store ${name}: records ${from} to ${to - 1} are lost: ${why}`,
    { lost: { from, to } },
  );
}

export function stoppedNode(): HedgerowError {
  return new HedgerowError("stopped", "the node is stopping");
}

export function closedStore(name: string): HedgerowError {
  return new HedgerowError(
    "not_found",
    `spill store ${name} was closed, or nobody used it for its expiry: open it anew`,
  );
}
