import { afterAll, beforeAll, expect, test } from "bun:test";
import { toJsonString } from "@bufbuild/protobuf";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { envelope } from "../../src/rpc/envelopes.ts";
import { errorFromResponse } from "../../src/rpc/errors.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { mutate, randomBytes } from "./kit/bytes.ts";
import { mutateJson, randomJson } from "./kit/json.ts";
import { hostileBytes, type Plausible, randomMessage } from "./kit/messages.ts";
import { RealNode } from "./kit/real-node.ts";
import { hostileRequest } from "./kit/requests.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";
import { text } from "./kit/texts.ts";
import { until } from "../rpc/kit/wait.ts";

// The http listener's app before a real node: client API and demo endpoints.

const URL = "http://127.0.0.1:9090";
/** A call that waits, for a lock or a version, is left after this. */
const PATIENCE_MS = 30;
/** Of a demo endpoint, which only answers. */
const DEMO_MS = 5_000;
const SOON: Plausible = {
  key: ["key", "other"],
  id: ["", "id"],
  if_version: ["", "id"],
  name: ["name", "another"],
  owner: ["owner", ""],
  limit: [0, 1, 2, -1],
  lease_ms: [0, 1_000],
  token: ["1", "1700000000000000"],
  from_id: ["", "id"],
  only_send_to: ["127.0.0.1:1"],
};
const JSON_TYPES = ["application/json", "application/json", "application/connect+json"];

let real: RealNode;
beforeAll(async () => {
  real = await RealNode.start();
});
afterAll(() => real[Symbol.asyncDispose]());

interface Answer {
  /** 0 while there is nothing to say, as to one that watches. */
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** The answer, as much of it as comes within a moment: then its caller goes away. */
async function ask(request: Request, patienceMs: number): Promise<Answer> {
  const leave = new AbortController();
  const left = new Promise<null>((resolve) =>
    leave.signal.addEventListener("abort", () => resolve(null)),
  );
  const timer = setTimeout(() => leave.abort(), patienceMs);
  const asked = real.ask(new Request(request, { signal: leave.signal }));
  const response = await Promise.race([asked, left]);
  const { status = 0, headers = new Headers() } = response ?? {};
  const reader = response?.body?.getReader();
  const chunks: Uint8Array[] = [];
  for (;;) {
    const next = await Promise.race([reader?.read(), left]);
    if (next == null || next.done) break;
    chunks.push(next.value);
  }
  clearTimeout(timer);
  await reader?.cancel();
  return { status, headers, body: Buffer.concat(chunks) };
}

/** Every defect is one of ours, wherever it is told. */
function expectNoDefect(what: string, { status, body }: Answer): void {
  const text = Buffer.from(body).toString("latin1");
  const blamed = status >= 500 && status < 503 && status !== 501;
  const defects = real.logger.lines.splice(0).filter((line) => line.startsWith("handler failed"));
  // What gRPC says of a message that cannot be read.
  const malformed = /parse%20binary/.test(text);
  if (blamed || (!malformed && /internal|grpc-status: (2|13)/i.test(text)) || defects.length > 0) {
    throw new Error(`${what}: ${status} ${text.slice(0, 500)} ${defects.join()}`);
  }
}

function bodyOf(prng: Prng, schema: Parameters<typeof hostileBytes>[1], type: string) {
  if (type.includes("json")) {
    const valid = () => {
      try {
        return toJsonString(schema, randomMessage(prng, schema, SOON));
      } catch {
        return "{}"; // a duration that JSON cannot say
      }
    };
    const json = prng.chance(0.1) ? randomJson(prng) : mutateJson(prng, valid());
    return Uint8Array.from(Buffer.from(json));
  }
  return hostileBytes(prng, schema, SOON);
}

test(
  "any request to any method of the client API is answered, and blames nobody but its sender",
  async () => {
    const statuses = new Map<string, Set<number>>();
    await asyncRounds(60, async (prng) => {
      for (const method of HedgerowService.methods) {
        const types = prng.chance(0.5) ? JSON_TYPES : undefined;
        const type = prng.pick(["json", "proto"]);
        let body = bodyOf(prng, method.input, types === undefined ? type : "json");
        if (prng.chance(0.5)) body = envelope(body);
        const query = prng.chance(0.1) ? `?${encodeURIComponent(text(prng).toWellFormed())}` : "";
        const url = `${URL}/${HedgerowService.typeName}/${method.name}${query}`;
        const request = hostileRequest(prng, url, body, types);
        if (!request.headers.has("connect-timeout-ms"))
          request.headers.set("connect-timeout-ms", "20");
        const answer = await ask(request, PATIENCE_MS);
        expectNoDefect(method.name, answer);
        const known = statuses.get(method.name) ?? new Set();
        statuses.set(method.name, known.add(answer.status));
        if (answer.status !== 200 && answer.headers.get("content-type") === "application/json") {
          errorFromResponse(answer.status, answer.headers, answer.body);
        }
      }
    });
    expect([...statuses.keys()]).toEqual(HedgerowService.methods.map(({ name }) => name));
    for (const [, seen] of statuses) expect([...seen].some((status) => status >= 400)).toBe(true);
  },
  boundMs(60_000),
);

test(
  "any body to a demo endpoint, and any path, is answered in plain text",
  async () => {
    const paths = [
      "/put",
      "/get",
      "/send",
      "/broadcast",
      "/",
      "/livez",
      "/readyz",
      "/metrics",
      "/sos",
    ];
    const statuses = new Set<number>();
    await asyncRounds(400, async (prng) => {
      const given = prng.pick([text(prng), `key ${text(prng)}`, "key value"]);
      const body = prng.chance(0.3) ? randomBytes(prng, 100) : Uint8Array.from(Buffer.from(given));
      const query = encodeURIComponent(text(prng).toWellFormed()).slice(0, 2_000);
      const path = prng.chance(0.1) ? `/${query}` : prng.pick(paths);
      const changed = prng.chance(0.2) ? mutate(prng, body) : body;
      const request = hostileRequest(prng, `${URL}${path}?name=${query}`, changed);
      const answer = await ask(request, DEMO_MS);
      statuses.add(answer.status);
      expectNoDefect(path, answer);
      expect(answer.headers.get("content-type")).toStartWith("text/plain");
    });
    expect([...statuses]).toEqual(expect.arrayContaining([200, 400, 404]));
  },
  boundMs(60_000),
);

test("after all that the node leads, serves, and holds nothing for those that went away", async () => {
  const { node } = real;
  await node.put("after", "value");
  expect((await node.get("after"))[0]?.value).toBe("value");
  expect(new TextDecoder().decode(await node.send("hello"))).toBe("hello");
  // What a stream held is free once its caller has gone.
  await until(
    "the lock is free",
    async () => {
      const held = await node
        .lock("name")
        .tryAcquire()
        .catch(() => null);
      await held?.release();
      return held !== null;
    },
    15_000,
  );
}, 90_000);
