// A page's script with a client that is not ours: @connectrpc/connect-web and generated code.
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ErrorDetailSchema, HedgerowService } from "../../../src/gen/hedgerow/v1/hedgerow_pb.ts";

const TRANSPORTS = {
  "Connect, JSON": (baseUrl: string) => createConnectTransport({ baseUrl }),
  "Connect, binary": (baseUrl: string) =>
    createConnectTransport({ baseUrl, useBinaryFormat: true }),
  "gRPC-Web": (baseUrl: string) => createGrpcWebTransport({ baseUrl }),
  "gRPC-Web, JSON": (baseUrl: string) =>
    createGrpcWebTransport({ baseUrl, useBinaryFormat: false }),
};

export type Protocol = keyof typeof TRANSPORTS;

async function failureOf(call: Promise<unknown>) {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) return { code: String(error), detail: "" };
  const [detail] = error.findDetails(ErrorDetailSchema);
  return { code: Code[error.code], detail: detail?.code ?? "" };
}

async function run(baseUrl: string, protocol: Protocol) {
  const client = createClient(HedgerowService, TRANSPORTS[protocol](baseUrl));
  const data = new TextEncoder().encode("hi");
  const key = `page, ${protocol}`;
  const { id } = await client.put({ key, value: "first", id: "one" });
  const { entries } = await client.get({ key });

  const replies: string[] = [];
  for await (const { node } of client.broadcast({ data })) replies.push(node);

  // A stream that brings what is written while it is read.
  const seen: string[] = [];
  const reading = new AbortController();
  for await (const { entry } of client.watchLog({ key, fromId: "" }, { signal: reading.signal })) {
    seen.push(entry?.value ?? "");
    if (seen.length === 1) await client.put({ key, value: "second", id: "two" });
    else break;
  }
  reading.abort();

  // A lock that is held by a stream is free again once the page has left it.
  const holding = new AbortController();
  const [lockName, wait] = [`lock of ${key}`, { seconds: 10n }];
  const hold = client.holdLock({ name: lockName, wait }, { signal: holding.signal });
  await hold[Symbol.asyncIterator]().next();
  const taken = await failureOf(
    client.holdLock({ name: lockName, wait: {} })[Symbol.asyncIterator]().next(),
  );
  holding.abort();
  const next = await client.holdLock({ name: lockName, wait })[Symbol.asyncIterator]().next();

  return {
    id,
    value: entries[0]?.value,
    replies: replies.sort(),
    seen,
    conflict: await failureOf(client.put({ key, value: "other", id: "one" })),
    taken,
    heldAgain: next.value?.token !== undefined,
    badStream: await failureOf(
      client.watchLog({ key, fromId: "no such" })[Symbol.asyncIterator]().next(),
    ),
    deadline: await failureOf(
      client.watchLog({ key: "quiet" }, { timeoutMs: 300 })[Symbol.asyncIterator]().next(),
    ),
  };
}

Object.assign(globalThis, { run });
