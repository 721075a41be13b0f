import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import {
  type SpillLimits as WireLimits,
  type SpillReadRequest,
  type SpillReadResponseSchema,
  type SpillStatsRequest,
  type SpillStatsResponseSchema,
  type SpillWriteRequest,
  type SpillWriteResponseSchema,
  SpillStatusSchema,
} from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { HedgerowNode } from "../node/api.ts";
import type { SpillLimits, SpillStore, TierStats } from "../spill/api.ts";
import type { SpillBatch } from "../spill/batch.ts";
import { publicError } from "../rpc/errors.ts";
import { isExpiry, MAX_EXPIRY_MS, MIN_EXPIRY_MS, otherLimit } from "../spill/limits.ts";

/** Bytes of the records of one message, unless it is a single one. */
const MESSAGE_BYTES = 256 * 1024;
const MAX_MESSAGE_RECORDS = 8192;
/** Of which one answer tells. */
const MAX_STORES = 1_000;

/** Takes the next message when the store has taken the one before. */
export async function spillWrite(
  node: HedgerowNode,
  requests: AsyncIterable<SpillWriteRequest>,
  { signal }: HandlerContext,
): Promise<MessageInitShape<typeof SpillWriteResponseSchema>> {
  await using stack = new AsyncDisposableStack();
  let open: Open | null = null;
  let records = 0n;
  try {
    for await (const request of requests) {
      if (open === null) {
        const limits = limitsOf(request.limits);
        const known = foundSpill(node, request.name);
        if (known !== null) checkSame(known, limits);
        const store = node.spill(request.name, limits);
        const writer = stack.use(store.writer());
        const append: Append = (record) => writer.append(record);
        open = { store, append, created: known === null };
      } else if (request.name !== "" && request.name !== open.store.name) {
        throw otherName(open.store.name);
      }
      for (const record of request.records) {
        const taken = open.append(record);
        if (taken !== undefined) await taken;
        records++;
      }
    }
    if (signal.reason instanceof ConnectError) throw signal.reason;
  } catch (error) {
    throw open === null ? error : told(error, open.store.name, records);
  }
  if (open === null) {
    throw new HedgerowError("invalid_argument", "SpillWrite: the first message names the store");
  }
  await stack.disposeAsync(); // whoever reads the answer uses the store no more
  return { records, store: statusOf(open.store), created: open.created };
}

interface Open {
  readonly store: SpillStore;
  readonly append: Append;
  readonly created: boolean;
}

function foundSpill(node: HedgerowNode, name: string): SpillStore | null {
  try {
    return node.findSpill(name);
  } catch (error) {
    if (HedgerowError.is(error, "not_found")) return null;
    throw error;
  }
}

/** As the node does, in this API's words. */
function checkSame(store: SpillStore, given: SpillLimits): void {
  const { limits } = store.stats();
  const other = otherLimit(limits, given);
  if (other === null) return;
  const [field, ...values] =
    other === "expiryMs"
      ? ["limits.expiry", `${limits.expiryMs / 1e3}s`, `${(given.expiryMs ?? 0) / 1e3}s`]
      : [`limits.${other}`, limits[other], given[other]];
  const message = `spill store ${store.name} lives with ${field} ${values.join(", not ")}: SpillClose it first, or leave ${field} out`;
  throw new HedgerowError("other_limit", message);
}

/** Where the store is still there, what was taken stays: whoever goes on begins behind it. */
function told(error: unknown, name: string, records: bigint): unknown {
  if (HedgerowError.is(publicError(error), "stopped")) return endedByStop(name, error);
  if (!HedgerowError.is(error) || error.code === "not_found" || records === 0n) return error;
  const { code, message, lost } = error;
  const said = `${message} (of this call's records ${records} were taken, and stay)`;
  return new HedgerowError(code, said, { cause: error, ...(lost !== undefined && { lost }) });
}

function endedByStop(name: string, cause: unknown): HedgerowError {
  const mend = "write it anew at another node";
  const message = `the node is stopping, and spill store ${name} ends with it, its records too: ${mend}`;
  return new HedgerowError("stopped", message, { cause });
}

function otherName(name: string): HedgerowError {
  const message = `SpillWrite: this stream writes to ${name}: open another one for another store`;
  return new HedgerowError("invalid_argument", message);
}

type Append = (record: Uint8Array) => Promise<void> | undefined;

export async function* spillRead(
  node: HedgerowNode,
  { name, from }: SpillReadRequest,
  { signal }: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof SpillReadResponseSchema>> {
  const reader = node.findSpill(name).reader({ from: Number(from), signal });
  for await (const batch of reader.batches()) yield* messagesOf(batch);
}

export function spillStats(
  node: HedgerowNode,
  { name }: SpillStatsRequest,
): MessageInitShape<typeof SpillStatsResponseSchema> {
  const stores = name === "" ? node.spillStores().slice(0, MAX_STORES) : [node.findSpill(name)];
  return { stores: stores.map(statusOf) };
}

/** Each is encoded before the next step, as long as its views are valid. */
function* messagesOf(batch: SpillBatch) {
  for (let at = 0; at < batch.length;) {
    const first = BigInt(batch.first + at);
    const records: Uint8Array<ArrayBufferLike>[] = [];
    let bytes = 0;
    while (at < batch.length && bytes < MESSAGE_BYTES && records.length < MAX_MESSAGE_RECORDS) {
      const record = batch.at(at++);
      records.push(record);
      bytes += record.length;
    }
    yield { first, records };
  }
}

function limitsOf(limits: WireLimits | undefined): SpillLimits {
  const { memoryBytes, diskBytes, expiry } = limits ?? {};
  if (expiry !== undefined && !isExpiry(durationMs(expiry))) {
    const message = `limits.expiry ${durationMs(expiry) / 1e3}s: give whole milliseconds, ${MIN_EXPIRY_MS / 1e3}s to ${MAX_EXPIRY_MS / 1e3}s`;
    throw new HedgerowError("invalid_argument", message);
  }
  return {
    ...(memoryBytes !== undefined && { memoryBytes: Number(memoryBytes) }),
    ...(diskBytes !== undefined && { diskBytes: Number(diskBytes) }),
    ...(expiry !== undefined && { expiryMs: durationMs(expiry) }),
  };
}

function statusOf(store: SpillStore) {
  const { records, bytes, tiers, limits, references, lost, outOfReach } = store.stats();
  return create(SpillStatusSchema, {
    name: store.name,
    limits: {
      memoryBytes: BigInt(limits.memoryBytes),
      diskBytes: BigInt(limits.diskBytes),
      expiry: durationFromMs(limits.expiryMs),
    },
    references,
    lost: BigInt(lost),
    outOfReach: BigInt(outOfReach),
    records: BigInt(records),
    bytes: BigInt(bytes),
    localMemory: tierToWire(tiers.localMemory),
    localDisk: tierToWire(tiers.localDisk),
    remoteMemory: tierToWire(tiers.remoteMemory),
    remoteDisk: tierToWire(tiers.remoteDisk),
  });
}

function tierToWire({ records, bytes }: TierStats) {
  return { records: BigInt(records), bytes: BigInt(bytes) };
}
