import { expect, test } from "bun:test";
import { errorFromJsonBytes, endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import { Code, ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../../src/errors.ts";
import { accessRefusal } from "../../src/http/access.ts";
import { refuse } from "../../src/http/refuse.ts";
import { parseTokens, tokensOf } from "../../src/http/tokens.ts";
import { EnvelopeReader } from "../../src/rpc/envelopes.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { expectTyped } from "./kit/errors.ts";
import { hostileRequest } from "./kit/requests.ts";
import { asyncRounds, boundMs, rounds } from "./kit/rounds.ts";
import { mutateText, text } from "./kit/texts.ts";

// Who may call the listeners of clients: nobody without a token of theirs, whatever the request looks like.

const WRITER = "0123456789abcdef0123456789abcdef";
const READER = "fedcba9876543210fedcba9876543210";
const TOKENS = tokensOf(parseTokens(`rw ${WRITER}\nro ${READER}\n`, "tokens"));

const OPEN = ["/livez", "/readyz", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"];
const SERVICE = "/hedgerow.v1.HedgerowService";
const READ = ["/", "/get", "/metrics", `${SERVICE}/Get`, `${SERVICE}/WatchLog`];
const WRITE = ["/put", "/send", `${SERVICE}/Put`, `${SERVICE}/HoldLock`, "/sos", "/nothing"];

function hostilePath(prng: Prng): string {
  const path = prng.pick([...OPEN, ...READ, ...WRITE]);
  if (prng.chance(0.3)) return path;
  const suffix = prng.pick(["/", "//", "/..", "%00", ";x", ".", "\0", text(prng)]);
  return prng.pick([path + suffix, mutateText(prng, path), path.toUpperCase(), `/${path}`]);
}

function hostileHeader(prng: Prng): string | null {
  const token = prng.pick([WRITER, READER, text(prng), "", "=".repeat(40)]);
  const scheme = prng.pick(["Bearer ", "bearer  ", "Basic ", "Bearer", "", "Bearer\t"]);
  return prng.pick([null, scheme + token, mutateText(prng, scheme + token)]);
}

test("nobody without a token of the listener's does anything, and no reader writes", () => {
  const seen = new Set<string>();
  rounds(6_000, (prng) => {
    const path = hostilePath(prng);
    const authorization = hostileHeader(prng);
    const refusal = accessRefusal(TOKENS, { path, authorization });
    const what = () => `${JSON.stringify(path)} with ${JSON.stringify(authorization)}`;
    seen.add(refusal === null ? "let in" : expectTyped(refusal, what));
    if (refusal !== null) {
      expect(["unauthenticated", "forbidden"]).toContain(refusal.code);
      for (const token of [WRITER, READER]) expect(refusal.message).not.toContain(token);
      return;
    }
    const shows = (token: string) =>
      authorization?.toLowerCase().startsWith("bearer ") && authorization.trimEnd().endsWith(token);
    if (!OPEN.includes(path) && !shows(WRITER) && !shows(READER)) throw new Error(what());
    if (!shows(WRITER) && WRITE.includes(path)) throw new Error(what());
  });
  expect([...seen].sort()).toEqual(["forbidden", "let in", "unauthenticated"]);
});

/** The error's code as the client reads it that sent the request. */
async function saidBy(response: Response): Promise<string> {
  const type = response.headers.get("content-type") ?? "";
  const body = await response.bytes();
  if (type.startsWith("application/grpc"))
    return `grpc-status ${response.headers.get("grpc-status")}`;
  if (type.startsWith("application/connect+")) {
    const reader = new EnvelopeReader(10_000);
    reader.push(body);
    const { error } = endStreamFromJson(reader.next()?.data ?? new Uint8Array());
    return `end of stream: ${Code[error?.code ?? 0]}`;
  }
  if (type === "application/json") {
    const unknown = new ConnectError("unreadable", Code.Unknown);
    const { code } = errorFromJsonBytes(body, response.headers, unknown);
    return `connect: ${Code[code]}`;
  }
  return `${response.status}: ${Buffer.from(body)}`;
}

test(
  "a refusal is one that the client can read, whatever it speaks",
  async () => {
    const error = new HedgerowError("unauthenticated", "show a token: \u{1f994}\n");
    const seen = new Set<string>();
    await asyncRounds(800, async (prng) => {
      const path = prng.chance(0.5)
        ? `${SERVICE}/Put`
        : `/${encodeURIComponent(text(prng).toWellFormed())}`;
      const request = hostileRequest(prng, `http://127.0.0.1:9090${path}`, new Uint8Array());
      seen.add(await saidBy(refuse(request, error)));
    });
    expect([...seen].sort()).toEqual([
      "401: show a token: \u{1f994}\n\n",
      "connect: Unauthenticated",
      "end of stream: Unauthenticated",
      "grpc-status 16",
    ]);
  },
  boundMs(10_000),
);
