import { HedgerowError } from "../errors.ts";
import type { SpillLimits, SpillStats } from "./api.ts";

export const DEFAULT_EXPIRY_MS = 30_000;
export const MIN_EXPIRY_MS = 100;
export const MAX_EXPIRY_MS = 86_400_000;
const MIN_SEGMENT_BYTES = 4 * 1024;
export const MAX_SEGMENT_BYTES = 8 * 1024 * 1024;
/** Of a segment with its offsets, and what stands around them in a file. */
export const MAX_SEALED_BYTES = 2 * MAX_SEGMENT_BYTES + 64 * 1024;
/** Segments that the larger limit has room for at the least. */
const SEGMENTS_PER_LIMIT = 16;
/** Segments that are on their way out of their buffers at once: one is filled meanwhile. */
export const MAX_PLACING = 2;
export const STAGING_SEGMENTS = MAX_PLACING + 1;

/** Of staging buffers beyond the node's memory limit: of all stores, so that many of them take no more than some do. */
export const MAX_OVERDRAFT_BYTES = 8 * MAX_SEGMENT_BYTES;

export interface CompleteLimits {
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly expiryMs: number;
  /** Of values, and so of one record. */
  readonly segmentBytes: number;
}

/** Throws `invalid_argument` for a limit that is none. */
export function completeLimits(
  limits: SpillLimits,
  node: { readonly memoryBytes: number; readonly diskBytes: number },
): CompleteLimits {
  const memoryBytes = bytes("memoryBytes", limits.memoryBytes ?? node.memoryBytes);
  const diskBytes = bytes("diskBytes", limits.diskBytes ?? node.diskBytes);
  const expiryMs = limits.expiryMs ?? DEFAULT_EXPIRY_MS;
  if (!isExpiry(expiryMs)) {
    const mend = `give whole milliseconds, ${MIN_EXPIRY_MS} to ${MAX_EXPIRY_MS}`;
    throw new HedgerowError("invalid_argument", `expiryMs ${expiryMs}: ${mend}`);
  }
  const segmentBytes = segmentBytesFor(Math.max(memoryBytes, diskBytes));
  return { memoryBytes, diskBytes, expiryMs, segmentBytes };
}

export function isExpiry(ms: number): boolean {
  return Number.isInteger(ms) && ms >= MIN_EXPIRY_MS && ms <= MAX_EXPIRY_MS;
}

/** The first of the given limits that is not the store's; null if none is. */
export function otherLimit(
  limits: SpillStats["limits"],
  given: SpillLimits,
): keyof SpillLimits | null {
  const keys = ["memoryBytes", "diskBytes", "expiryMs"] as const;
  return keys.find((key) => given[key] !== undefined && given[key] !== limits[key]) ?? null;
}

function segmentBytesFor(largerLimit: number): number {
  const wanted = Math.max(1, largerLimit / SEGMENTS_PER_LIMIT);
  const power = 2 ** Math.floor(Math.log2(wanted));
  return Math.min(MAX_SEGMENT_BYTES, Math.max(MIN_SEGMENT_BYTES, power));
}

function bytes(what: string, given: number): number {
  if (Number.isSafeInteger(given) && given >= 0) return given;
  throw new HedgerowError("invalid_argument", `${what} ${given}: give a whole number of bytes`);
}
