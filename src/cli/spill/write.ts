import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { SpillWriteRequestSchema } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import { MAX_STREAM_TIMEOUT_MS } from "../../rpc/limits.ts";
import { MAX_SEGMENT_BYTES } from "../../spill/limits.ts";
import { withClient } from "../client.ts";
import { command } from "../command.ts";
import type { CliContext } from "../context.ts";
import { SERVER_FLAGS, JSON_FLAG } from "../flags.ts";
import { printJson } from "../output.ts";
import * as values from "../values.ts";
import { linesOf } from "./lines.ts";
import { explainWrite } from "./explain.ts";
import { tiersOf, tierTable } from "./status.ts";

const LIMITS = "Limits";
/** Lines of one message. */
const MAX_LINES = 8192;
const MAX_MESSAGE_BYTES = 1024 * 1024;

export default command({
  operands: { NAME: "of the store, on the node that is asked; made if there is none" },
  flags: {
    memory: {
      schema: values.optionalSize,
      value: "SIZE",
      fallback: "",
      section: LIMITS,
      typedOnly: true,
      help: "memory that the store may take on each node; empty: what the node has for all",
    },
    disk: {
      schema: values.optionalSize,
      value: "SIZE",
      fallback: "",
      section: LIMITS,
      typedOnly: true,
      help: "the same of the disk",
    },
    expiry: {
      schema: values.optionalDuration(100),
      value: "DURATION",
      fallback: "",
      section: LIMITS,
      typedOnly: true,
      help: "how long the store lives after its last use; empty: 30s",
    },
    ...SERVER_FLAGS,
    ...JSON_FLAG,
  },
  async run(context, { memory, disk, expiry, json, ...server }, [name = ""]) {
    const limits = {
      ...(memory !== null && { memoryBytes: BigInt(memory) }),
      ...(disk !== null && { diskBytes: BigInt(disk) }),
      ...(expiry !== null && { expiry: durationFromMs(expiry) }),
    };
    const endless = { ...server, timeout: MAX_STREAM_TIMEOUT_MS };
    const { records, store, created } = await withClient(context, endless, (client, options) =>
      client
        .spillWrite(requests(context, { name, limits }), options)
        .catch((error: unknown) => explainWrite(client, name, limits, error)),
    );
    const tiers = tiersOf(store);
    if (json) {
      printJson(context.stdout, {
        written: Number(records),
        created,
        records: Number(store?.records ?? 0),
        bytes: Number(store?.bytes ?? 0),
        tiers,
      });
      return;
    }
    const where = `${created ? "new store " : ""}${name}`;
    context.stdout.write(
      `${records} records written to ${where}, which holds ${store?.records}:\n`,
    );
    context.stdout.write(tierTable(tiers));
  },
});

/** The first one names the store, also where there is nothing to write. */
async function* requests(
  { stdin, stop }: CliContext,
  first: MessageInitShape<typeof SpillWriteRequestSchema>,
): AsyncGenerator<MessageInitShape<typeof SpillWriteRequestSchema>> {
  yield first;
  const input = stdin();
  for await (const lines of linesOf(endedBy(input, stop), MAX_SEGMENT_BYTES)) {
    let records: Uint8Array[] = [];
    let bytes = 0;
    for (const line of lines) {
      if (records.length === MAX_LINES || (bytes > 0 && bytes + line.length > MAX_MESSAGE_BYTES)) {
        yield { records };
        records = [];
        bytes = 0;
      }
      records.push(line);
      bytes += line.length;
    }
    yield { records };
  }
}

/** Ends with the signal, and lets go of the stream, which would keep the process. */
async function* endedBy(
  stream: ReadableStream<Uint8Array>,
  stop: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  const stopped = Promise.withResolvers<{ done: true; value: undefined }>();
  const onStop = () => stopped.resolve({ done: true, value: undefined });
  stop.addEventListener("abort", onStop, { once: true });
  if (stop.aborted) onStop();
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), stopped.promise]);
      if (done) return;
      yield value;
    }
  } finally {
    stop.removeEventListener("abort", onStop);
    await reader.cancel();
  }
}
