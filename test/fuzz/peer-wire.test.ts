import { expect, test } from "bun:test";
import { isErrorCode } from "../../src/errors.ts";
import { ErrorDetailSchema } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import {
  BatchErrorSchema,
  BatchRequestSchema,
  BatchResponseSchema,
  PeerService,
} from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { batchRoute } from "../../src/rpc/batch.ts";
import { readBatch, readReplies } from "../../src/rpc/batch-wire.ts";
import { decode } from "../../src/rpc/codec.ts";
import { END_OF_STREAM_FLAG, envelope } from "../../src/rpc/envelopes.ts";
import { errorFromResponse, fromBatchError } from "../../src/rpc/errors.ts";
import { serve } from "../../src/rpc/port.ts";
import { noSuchRoute, unaryRoutes } from "../../src/rpc/server.ts";
import { messagesOf } from "../../src/rpc/streaming.ts";
import { RecordingLogger, runtime } from "../rpc/kit/nodes.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { chunksOf, join, mutate, randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { hostileBytes, type Plausible } from "./kit/messages.ts";
import { hostileRequest, streamOf } from "./kit/requests.ts";
import { asyncRounds, boundMs, rounds } from "./kit/rounds.ts";

// Our own framing: requests, batches and streams, in arbitrary chunks.

const { append, deliver } = PeerService.method;
const NAME = "hedgerow.v1.PeerService/Append";
const LIKELY: Plausible = {
  method: [NAME, NAME, "hedgerow.v1.PeerService/Deliver", ""],
  timeout_ms: [0, 1, 1_000],
  code: ["timeout", "conflict", "no_leader", "internal"],
};

function listener(logger: RecordingLogger) {
  const shared = { clock: runtime.clock, logger };
  const routes = [
    serve(append, async ({ key }) => ({ timestamp: key.length })),
    serve(deliver, async ({ data }) => ({ data })),
  ];
  const handle = unaryRoutes({
    ...shared,
    routes,
    maxBytes: 10_000,
    byteRoutes: [batchRoute(routes.slice(0, 1), shared)],
  });
  return async (request: Request) => handle(request, { timeout() {} }) ?? noSuchRoute(request);
}

test(
  "any request is answered: a reply, or an error that is not ours to blame",
  async () => {
    const logger = new RecordingLogger();
    const answer = listener(logger);
    const statuses = new Set<number>();
    await asyncRounds(1_500, async (prng) => {
      const [path, schema] = prng.pick([
        ["Append", append.input],
        ["Deliver", deliver.input],
        ["Batch", BatchRequestSchema],
        ["Nothing", BatchRequestSchema],
      ] as const);
      const body = hostileBytes(prng, schema, LIKELY);
      const response = await answer(
        hostileRequest(prng, `http://127.0.0.1/hedgerow.v1.PeerService/${path}`, body),
      );
      statuses.add(response.status);
      const bytes = await response.bytes();
      if (response.status === 200) {
        if (path === "Batch") readReplies(bytes);
        return;
      }
      const error = errorFromResponse(response.status, response.headers, bytes);
      expectTyped(error, () => `status ${response.status} of ${path}`);
    });
    expect([...statuses].sort()).toEqual([200, 400, 404, 405, 413, 415, 501]);
    expect(logger.lines).toEqual([]);
  },
  boundMs(30_000),
);

test(
  "batches and their replies are read, or refused as malformed",
  () => {
    let read = 0;
    rounds(1_500, (prng) => {
      for (const [schema, reader] of [
        [BatchRequestSchema, readBatch],
        [BatchResponseSchema, readReplies],
      ] as const) {
        const bytes = hostileBytes(prng, schema, LIKELY);
        try {
          reader(bytes);
          read++;
        } catch (error) {
          expect(expectTyped(error, () => schema.name)).toBe("invalid_argument");
        }
      }
    });
    expect(read).toBeGreaterThan(100);
  },
  boundMs(30_000),
);

test(
  "errors of other nodes are errors of ours, whatever they say",
  () => {
    rounds(1_200, (prng) => {
      const wire = () => hostileBytes(prng, BatchErrorSchema, LIKELY);
      try {
        expect(isErrorCode(fromBatchError(decode(BatchErrorSchema, wire())).code)).toBe(true);
      } catch (error) {
        expect(expectTyped(error, () => "a batch's error")).toBe("invalid_argument");
      }
      const body = prng.chance(0.3) ? randomBytes(prng, 60) : errorJson(prng);
      const status = prng.pick([200, 302, 400, 401, 404, 413, 429, 499, 500, 502, 504]);
      expect(isErrorCode(errorFromResponse(status, new Headers(), body).code)).toBe(true);
    });
  },
  boundMs(30_000),
);

function errorJson(prng: Prng): Uint8Array {
  const value = Buffer.from(hostileBytes(prng, ErrorDetailSchema, LIKELY)).toString("base64");
  const details = [{ type: ErrorDetailSchema.typeName, value }];
  const code = prng.pick(["unavailable", "internal", "nonsense", 7, null]);
  const json = Buffer.from(JSON.stringify({ code, message: "message", details }));
  return prng.chance(0.5) ? mutate(prng, json) : json;
}

/** What comes of a stream: how many messages, and its end. */
async function received(chunks: readonly Uint8Array[]): Promise<string> {
  const reading = { trailer: new Headers(), maxBytes: 5_000, end() {} };
  const failure = (error: unknown) => error as Error;
  let count = 0;
  try {
    for await (const _ of messagesOf(deliver.output, streamOf(chunks), { ...reading, failure })) {
      count++;
    }
    return `${count}, ended`;
  } catch (error) {
    return `${count}, ${error instanceof Error ? error.message : "nothing"}`;
  }
}

test(
  "a stream is the same in whatever chunks it comes, and ends",
  async () => {
    const ends = new Set<string>();
    await asyncRounds(800, async (prng) => {
      const messages = Array.from({ length: prng.int(5) }, () =>
        envelope(hostileBytes(prng, deliver.output)),
      );
      const end = envelope(Buffer.from(prng.chance(0.7) ? "{}" : errorJson(prng)));
      end[0] = END_OF_STREAM_FLAG;
      const whole = join(...messages, end);
      const bytes = prng.chance(0.4) ? whole : mutate(prng, whole);
      const once = await received([bytes]);
      expect(await received(chunksOf(prng, bytes))).toBe(once);
      ends.add(once.replace(/^\d+, /, ""));
    });
    expect(ends.size).toBeGreaterThan(3);
  },
  boundMs(30_000),
);
