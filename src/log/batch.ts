import type { HedgerowError } from "../errors.ts";
import type { NewEntry } from "../store/ports.ts";

/** A put that waits for its commit. */
export interface Waiting {
  readonly entry: NewEntry;
  readonly bytes: number;
  /** After this (own clock, milliseconds) nobody waits for it: it is not written any more. */
  readonly deadline: number;
  readonly resolve: (timestamp: number) => void;
  readonly reject: (error: HedgerowError) => void;
}

export interface BatchLimits {
  readonly batchEntries: number;
  readonly batchBytes: number;
}

export interface Batch {
  readonly batch: Waiting[];
  /** What must wait for the next commit, in its order. */
  readonly rest: Waiting[];
  /** What nobody waits for any more. */
  readonly expired: Waiting[];
}

/**
 * Cuts the next commit off a queue: in order of arrival, one entry per key, within the limits (one entry
 * over the limit of bytes goes alone). Pure.
 */
export function takeBatch(queue: readonly Waiting[], now: number, limits: BatchLimits): Batch {
  const batch: Waiting[] = [];
  const rest: Waiting[] = [];
  const expired: Waiting[] = [];
  const keys = new Set<string>();
  let bytes = 0;
  let full = false;
  for (const waiting of queue) {
    if (waiting.deadline <= now) {
      expired.push(waiting);
      continue;
    }
    const { key } = waiting.entry;
    full ||= batch.length >= limits.batchEntries;
    full ||= batch.length > 0 && bytes + waiting.bytes > limits.batchBytes;
    if (full || keys.has(key)) {
      rest.push(waiting);
      continue;
    }
    keys.add(key);
    bytes += waiting.bytes;
    batch.push(waiting);
  }
  return { batch, rest, expired };
}
