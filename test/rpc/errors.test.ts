import { expect, test } from "bun:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ERROR_CODES, type ErrorCode, HedgerowError } from "../../src/errors.ts";
import { BatchErrorSchema } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import {
  errorFromFetch,
  errorFromResponse,
  errorResponse,
  fromBatchError,
  fromConnectError,
  publicError,
  toBatchError,
  toConnectError,
} from "../../src/rpc/errors.ts";
import { TestCluster } from "./kit/cluster.ts";
import { addressOf, echo, listen } from "./kit/nodes.ts";
import { freePort, rawServer } from "./kit/sockets.ts";
import { failureOf } from "./kit/wait.ts";

const codes = Object.keys(ERROR_CODES) as ErrorCode[];
const leader = { address: "10.0.0.1:8080", token: 1_750_000_000_000_001, released: true };

function facts({ code, message, leader, retryDelayMs }: HedgerowError) {
  return { code, message, leader, retryDelayMs };
}

test.each(codes)("%s crosses each wire with its leader and its retry delay", async (code) => {
  const error = new HedgerowError(code, "what happened", { leader, retryDelayMs: 250 });
  const response = errorResponse(error);
  const body = await response.bytes();
  expect(facts(fromConnectError(toConnectError(error)))).toEqual(facts(error));
  expect(facts(errorFromResponse(response.status, response.headers, body))).toEqual(facts(error));
  const batched = fromBinary(BatchErrorSchema, toBinary(BatchErrorSchema, toBatchError(error)));
  expect(facts(fromBatchError(batched))).toEqual(facts(error));
});

test("data_lost crosses the wire to clients with the records that are lost", async () => {
  const lost = { from: 7, to: 2 ** 40 };
  const error = new HedgerowError("data_lost", "records 7 to ... are lost", { lost });
  const response = errorResponse(error);
  const body = await response.bytes();
  expect(fromConnectError(toConnectError(error)).lost).toEqual(lost);
  expect(errorFromResponse(response.status, response.headers, body).lost).toEqual(lost);
  expect(fromConnectError(toConnectError(new HedgerowError("internal", "x"))).lost).toBeUndefined();
});

test("an error without leader and delay arrives without them", () => {
  const error = new HedgerowError("no_leader", "nobody leads");
  expect(facts(fromConnectError(toConnectError(error)))).toEqual(facts(error));
  expect(facts(fromBatchError(toBatchError(error)))).toEqual(facts(error));
});

test("a unary error is Connect's JSON, with the status that Connect has for its code", async () => {
  const response = errorResponse(new HedgerowError("conflict", "another value"));
  expect(response.status).toBe(409);
  expect(response.headers.get("content-type")).toBe("application/json");
  const body = (await response.json()) as { code: string; message: string; details: object[] };
  expect(body.code).toBe("already_exists");
  expect(body.message).toBe("another value");
  expect(body.details).toEqual([
    expect.objectContaining({ type: "hedgerow.v1.ErrorDetail", debug: { code: "conflict" } }),
  ]);
});

test("a stranger's error is told by its Connect code", () => {
  const seen = (code: Code) => fromConnectError(new ConnectError("no", code)).code;
  expect(seen(Code.Unavailable)).toBe("unavailable");
  expect(seen(Code.DeadlineExceeded)).toBe("timeout");
  expect(seen(Code.Unknown)).toBe("outcome_unknown");
  for (const code of Object.values(Code)) {
    if (typeof code === "number") expect(codes).toContain(seen(code));
  }
});

test("an answer that is not Connect's is told by its status, and never taken as surely not done", () => {
  const seen = (status: number) =>
    errorFromResponse(status, new Headers(), new TextEncoder().encode("<html>")).code;
  expect(seen(404)).toBe("not_found");
  expect(seen(413)).toBe("too_large");
  for (const status of [302, 500, 502, 503, 504]) expect(seen(status)).toBe("outcome_unknown");
});

test("of a defect the caller learns nothing but that it is one", () => {
  const seen = publicError(new TypeError("secret is undefined"));
  expect(seen.code).toBe("internal");
  expect(seen.message).toBe("internal error");
});

async function fetchFailure(url: string, init: BunFetchRequestInit = {}): Promise<string> {
  const thrown = await failureOf(fetch(url, { method: "POST", body: "x", ...init }));
  return errorFromFetch(thrown, "the peer").code;
}

test("refused connections and unknown names are surely not executed", async () => {
  expect(await fetchFailure(`http://127.0.0.1:${freePort()}/`)).toBe("unavailable");
  expect(await fetchFailure("http://nobody.invalid:1/")).toBe("unavailable");
  expect(await fetchFailure("http://127.0.0.1:99999/")).toBe("invalid_argument");
});

test("a server under a foreign authority, or of another name, was told nothing", async () => {
  const [ours, theirs] = [new TestCluster(), new TestCluster()];
  const stranger = listen({ tls: theirs.member("s"), routes: [echo] });
  const friend = listen({ tls: ours.member("f"), routes: [echo] });
  const { key, cert, ca } = ours.member("c");
  const trust = { key, cert, ca: [...ca] };
  const tls = { ...trust, serverName: "hedgerow" };
  expect(await fetchFailure(`https://${addressOf(stranger)}/`, { tls })).toBe("unavailable");
  const wrongName = { ...trust, serverName: "other" };
  expect(await fetchFailure(`https://${addressOf(friend)}/`, { tls: wrongName })).toBe(
    "unavailable",
  );
});

test("a connection that breaks while the answer is awaited leaves the outcome unknown", async () => {
  const closing = rawServer((socket) => void socket.end());
  expect(await fetchFailure(`http://${closing.address}/`)).toBe("outcome_unknown");
  expect(closing.received).toHaveLength(1);
  const garbling = rawServer((socket) => void socket.end("no HTTP at all\r\n\r\n"));
  expect(await fetchFailure(`http://${garbling.address}/`)).toBe("outcome_unknown");
});
