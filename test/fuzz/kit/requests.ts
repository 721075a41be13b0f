import type { Prng } from "../../simulation/world/prng.ts";
import { chunksOf } from "./bytes.ts";
import { text } from "./texts.ts";

const CONTENT_TYPES = [
  "application/proto",
  "application/proto",
  "application/json",
  "application/json; charset=utf-8",
  "application/connect+proto",
  "application/connect+json",
  "application/grpc-web+proto",
  "application/grpc",
  "text/plain",
  "",
];
const METHODS = ["POST", "POST", "POST", "POST", "POST", "PUT", "GET", "DELETE", "OPTIONS"];
/** Headers that somebody reads, with what they may have. (Of lengths that are false, sockets.test.ts.) */
const HEADERS: Readonly<Record<string, readonly string[]>> = {
  "content-encoding": ["identity", "gzip"],
  "connect-protocol-version": ["1", "2"],
  "connect-timeout-ms": ["1", "0", "9999999999", "99999999999", "-1"],
  "grpc-timeout": ["1S", "99999999H", "1x"],
  origin: ["null", "http://127.0.0.1:9090", "http://evil.example", "::"],
  host: ["localhost", "127.0.0.1:9090", "evil.example", "[", ":"],
  "sec-fetch-site": ["none", "cross-site"],
  "hedgerow-label": ["simulated", "other"],
  "x-forwarded-for": ["10.0.0.1"],
};

/** A request with this body, as a stream of any chunks, and headers that may contradict it. */
export function hostileRequest(
  prng: Prng,
  url: string,
  body: Uint8Array<ArrayBuffer>,
  contentTypes: readonly string[] = CONTENT_TYPES,
): Request {
  const method = prng.pick(METHODS);
  const headers = new Headers();
  const type = prng.pick(contentTypes);
  if (type !== "") headers.set("content-type", type);
  for (const [name, values] of Object.entries(HEADERS)) {
    if (prng.chance(0.08)) headers.set(name, prng.chance(0.7) ? prng.pick(values) : legal(prng));
  }
  if (method === "GET") return new Request(url, { method, headers });
  const whole = prng.chance(0.5);
  return new Request(url, { method, headers, body: whole ? body : streamOf(chunksOf(prng, body)) });
}

export function streamOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

/** What may stand in a header. */
function legal(prng: Prng): string {
  return text(prng)
    .replace(/[^\x20-\x7e]/g, "~")
    .trim()
    .slice(0, 2_000);
}
