import { HedgerowError } from "../errors.ts";
import type { HedgerowNode } from "../node/api.ts";
import type { SpillStore } from "../spill/api.ts";

/** Those of the Go system's demo. */
const LIMITS = { memoryBytes: 150_000, diskBytes: 120_000, expiryMs: 5_000 };
const RECORDS = 14_000;
const MAX_RECORD_BYTES = 64;
/** Of the cluster's limits, what is filled: on more than one node the records go beyond this one. */
const FILLED = 0.6;
/** An offset. */
const OVERHEAD_BYTES = 4;

/**
 * Writes 14,000 records to a new spill store of this name, reads them twice and frees it. They are as long as makes the
 * cluster's memory and disks, as the limits have them, fairly full. Throws what the store throws, and `data_lost` if it
 * gives others than those that were written.
 */
export async function spillAndReadBack(
  node: HedgerowNode,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  await using store = node.spill(name, LIMITS);
  const room = (LIMITS.memoryBytes + LIMITS.diskBytes) * node.members().length * FILLED;
  const bytes = Math.min(MAX_RECORD_BYTES, Math.floor(room / RECORDS) - OVERHEAD_BYTES);
  {
    await using writer = store.writer();
    for (let i = 0; i < RECORDS; i++) await writer.append(recordOf(i, bytes));
  }
  for (let pass = 0; pass < 2; pass++) await check(store, bytes, signal);
}

async function check(store: SpillStore, bytes: number, signal: AbortSignal): Promise<void> {
  let i = 0;
  for await (const record of store.reader({ signal })) {
    if (!Buffer.from(recordOf(i, bytes)).equals(record)) throw differs(store.name, i);
    i++;
  }
  if (i < RECORDS) throw differs(store.name, i);
}

function recordOf(i: number, bytes: number): Uint8Array {
  return Buffer.from(`${i}_`.padEnd(bytes, "sos_"));
}

function differs(name: string, index: number): HedgerowError {
  const message = `spill store ${name}: record ${index} is not what was written`;
  return new HedgerowError("data_lost", message, { lost: { from: index, to: index + 1 } });
}
