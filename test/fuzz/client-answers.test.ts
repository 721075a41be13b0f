import { expect, test } from "bun:test";
import { create, type DescMethod } from "@bufbuild/protobuf";
import { createClient } from "../../src/client/index.ts";
import { HedgerowError } from "../../src/errors.ts";
import { ErrorDetailSchema, HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { END_OF_STREAM_FLAG, envelope } from "../../src/rpc/envelopes.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { chunksOf, join, mutate, randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { mutateJson, randomJson } from "./kit/json.ts";
import { hostileBytes, type Plausible } from "./kit/messages.ts";
import { streamOf } from "./kit/requests.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

// What the exported client makes of the answers to its calls, whoever gives them.

/** Of a call, whatever its answers say of when to come again. */
const PATIENCE_MS = 40;
/** What such a call may take beyond that on a busy machine. */
const SLACK_MS = 15_000;

const DETAIL: Plausible = {
  code: ["conflict", "not_found", "forbidden", "canceled", "no_leader", "internal", "nonsense"],
  leader: ["10.0.0.9:8080", "", "not an address"],
  token: [0n, 1n, 2n ** 53n],
  retry_delay_ms: [0, 1, 10, 2 ** 32 - 1],
};
const CODES = ["unavailable", "aborted", "internal", "canceled", "unknown"];
const WRONG = ["nonsense", 7, null, undefined];

function errorJson(prng: Prng): string {
  const value = Buffer.from(hostileBytes(prng, ErrorDetailSchema, DETAIL)).toString("base64");
  const foreign = { type: "x", value: "!" };
  const detail = { type: ErrorDetailSchema.typeName, value };
  const details = prng.chance(0.1) ? [detail, foreign] : [detail];
  const error = {
    code: prng.chance(0.9) ? prng.pick(CODES) : prng.pick(WRONG),
    message: prng.chance(0.9) ? prng.pick(["m", "\n\0"]) : 7,
    details,
  };
  if (prng.chance(0.8)) return JSON.stringify(error);
  return prng.chance(0.5) ? mutateJson(prng, JSON.stringify(error)) : randomJson(prng);
}

const STATUSES = [400, 401, 403, 404, 408, 409, 413, 429, 499, 500, 502, 503, 504];

function answer(prng: Prng, { output, methodKind }: DescMethod): Response {
  const unary = methodKind === "unary";
  const right = `application/${unary ? "" : "connect+"}proto`;
  const type = prng.chance(0.9) ? right : prng.pick(["application/json", "text/html", ""]);
  const status = prng.pick([200, 200, prng.pick(STATUSES)]);
  const headers = new Headers({ "content-type": status === 200 ? type : "application/json" });
  if (prng.chance(0.05)) headers.set("content-encoding", prng.pick(["gzip", "x"]));
  if (prng.chance(0.05)) headers.set("connect-content-encoding", prng.pick(["gzip", "x"]));
  if (status !== 200) return new Response(errorJson(prng), { status, headers });
  if (unary) return new Response(hostileBytes(prng, output), { headers });
  const messages = Array.from({ length: prng.int(4) }, () => envelope(hostileBytes(prng, output)));
  const said = prng.pick([
    () => "{}",
    () => `{"error":${errorJson(prng)}}`,
    () => randomJson(prng),
  ])();
  const end = envelope(Buffer.from(said));
  end[0] = prng.pick([END_OF_STREAM_FLAG, END_OF_STREAM_FLAG, END_OF_STREAM_FLAG, 0, 1, 255]);
  const whole = prng.chance(0.1) ? randomBytes(prng, 60) : join(...messages, end);
  const sent = prng.chance(0.6) ? whole : mutate(prng, whole);
  return new Response(streamOf(chunksOf(prng, sent)), { headers });
}

/** Never answers; ends as fetch does. */
function silent(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason));
  });
}

/** What the platform's fetch may throw. */
function failure(prng: Prng): unknown {
  const code = prng.pick(["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "nonsense", 7]);
  const error = Object.assign(new TypeError("fetch failed"), { code });
  const wrapped = new TypeError("fetch failed", { cause: error });
  return prng.pick([error, wrapped, "text", null, undefined, new DOMException("x", "AbortError")]);
}

test(
  "every call ends in time, with what its answer says or a typed error",
  async () => {
    const outcomes = new Set<string>();
    await asyncRounds(30, async (prng) => {
      for (const method of HedgerowService.methods) {
        const addresses = ["http://127.0.0.1:1", "http://127.0.0.1:2"].slice(prng.int(2));
        const client = createClient({
          addresses,
          retries: prng.pick([0, 0, 0, 5]),
          fetch: async (_, { signal }) => {
            if (prng.chance(0.1)) throw failure(prng);
            if (prng.chance(0.03)) return silent(signal);
            return answer(prng, method);
          },
        });
        const call = client[method.localName as keyof typeof client] as unknown as (
          request: unknown,
          options: object,
        ) => Promise<unknown> | AsyncIterable<unknown>;
        const started = performance.now();
        const run = async () => {
          const options = { timeoutMs: PATIENCE_MS };
          const request =
            method.methodKind.endsWith("server_streaming") || method.methodKind === "unary"
              ? create(method.input)
              : requests(method);
          const answered = call(request, options);
          if (answered instanceof Promise) await answered;
          else for await (const message of answered) expect(message).toBeDefined();
          return "ended well";
        };
        const outcome = await run().catch((error: unknown) => {
          // What the other side says of itself is its own word.
          if (HedgerowError.is(error, "internal")) return error.code;
          return expectTyped(error, () => method.name);
        });
        const tookMs = performance.now() - started;
        if (tookMs > PATIENCE_MS + SLACK_MS) throw new Error(`${method.name}: ${tookMs} ms`);
        outcomes.add(outcome);
      }
    });
    expect([...outcomes]).toEqual(
      expect.arrayContaining(["ended well", "outcome_unknown", "timeout"]),
    );
    expect(outcomes.size).toBeGreaterThan(6);
  },
  boundMs(30_000),
);

async function* requests({ input }: DescMethod) {
  yield create(input);
}
