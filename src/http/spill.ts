import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import {
  type SpillLimits as WireLimits,
  type SpillReadRequest,
  type SpillReadResponseSchema,
  type SpillWriteRequest,
  type SpillWriteResponseSchema,
  SpillStatusSchema,
} from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { HedgerowNode } from "../node/api.ts";
import type { SpillLimits, SpillStats, TierStats } from "../spill/api.ts";
import type { SpillBatch } from "../spill/batch.ts";

/** Bytes of the records of one message, unless it is a single one. */
const MESSAGE_BYTES = 256 * 1024;
const MAX_MESSAGE_RECORDS = 8192;

/** Takes the next message when the store has taken the one before. */
export async function spillWrite(
  node: HedgerowNode,
  requests: AsyncIterable<SpillWriteRequest>,
  { signal }: HandlerContext,
): Promise<MessageInitShape<typeof SpillWriteResponseSchema>> {
  await using stack = new AsyncDisposableStack();
  let open: {
    readonly name: string;
    readonly stats: () => SpillStats;
    readonly append: Append;
  } | null = null;
  let records = 0n;
  try {
    for await (const request of requests) {
      if (open === null) {
        const store = node.spill(request.name, limitsOf(request.limits));
        const writer = stack.use(store.writer());
        const { name } = store;
        open = { name, stats: () => store.stats(), append: (record) => writer.append(record) };
      } else if (request.name !== "" && request.name !== open.name) throw otherName(open.name);
      for (const record of request.records) {
        const taken = open.append(record);
        if (taken !== undefined) await taken;
        records++;
      }
    }
  } catch (error) {
    throw HedgerowError.is(error) && records > 0n ? afterRecords(error, records) : error;
  }
  if (signal.reason instanceof ConnectError) throw signal.reason;
  if (open === null) {
    throw new HedgerowError("invalid_argument", "SpillWrite: the first message names the store");
  }
  return { records, store: statusOf(open.stats()) };
}

/** What was taken stays: whoever goes on begins behind it. */
function afterRecords(error: HedgerowError, records: bigint): HedgerowError {
  const { code, message, lost } = error;
  const said = `${message} (of this call's records ${records} were taken, and stay)`;
  return new HedgerowError(code, said, { cause: error, ...(lost !== undefined && { lost }) });
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
  return {
    ...(memoryBytes !== undefined && { memoryBytes: Number(memoryBytes) }),
    ...(diskBytes !== undefined && { diskBytes: Number(diskBytes) }),
    ...(expiry !== undefined && { expiryMs: durationMs(expiry) }),
  };
}

function statusOf({ records, bytes, tiers }: SpillStats) {
  return create(SpillStatusSchema, {
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
