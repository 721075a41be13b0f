// Tokens that are taken off the file of a real node, while streams that were opened with them are open.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { type ClientHttp2Session, connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster, freePlaces, type Node, until } from "./processes.ts";

const STAYS = "stays-0123456789abcdef";
const GOES = "goes-0123456789abcdef";
const LESSENS = "lessens-0123456789abcdef";
/** The file is read again every second. */
const WITHIN_MS = 4_000;

let folder = "";
let cluster: Cluster;
let node: Node;
const sessions: ClientHttp2Session[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-revoked-"));
  await list(`rw ${STAYS}\nrw ${GOES}\nrw ${LESSENS}\n`);
  const places = await freePlaces(1, { grpc: true });
  const flags = ["--client-token-file", join(folder, "tokens")];
  cluster = await Cluster.start({ places, flags });
  node = cluster.nodes[0] as Node;
  await until("it is ready", 15_000, isReady);
}, 30_000);

afterAll(async () => {
  for (const session of sessions) session.destroy();
  await cluster[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Another file takes the name, as when Kubernetes exchanges a Secret. */
async function list(tokens: string): Promise<void> {
  const path = join(folder, "tokens");
  await writeFile(`${path}.new`, tokens, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

function isReady(): Promise<boolean> {
  return fetch(`${node.url}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  );
}

const PROTOCOLS = ["http", "grpc"] as const;
type Protocol = (typeof PROTOCOLS)[number];

/** Messages in JSON, or protobuf, in envelopes, which Connect and gRPC have in common. */
class Open {
  /** How it ended: Connect's name, gRPC's number, or "cut". */
  end: string | null = null;
  #messages = 0;
  readonly #stream;

  constructor(
    readonly what: string,
    protocol: Protocol,
    method: string,
    token: string,
    request: object | Uint8Array,
  ) {
    const isBinary = request instanceof Uint8Array;
    const session = connect(protocol === "http" ? node.url : `http://${node.grpc}`);
    sessions.push(session.on("error", () => {})); // told by its streams
    this.#stream = session.request({
      ":method": "POST",
      ":path": `/hedgerow.v1.HedgerowService/${method}`,
      "content-type": `application/${protocol === "http" ? "connect" : "grpc"}+${isBinary ? "proto" : "json"}`,
      authorization: `Bearer ${token}`,
      te: "trailers",
    });
    this.#stream.on("error", () => {}); // its close tells
    this.#stream.on("trailers", (trailers) => (this.end = String(trailers["grpc-status"])));
    this.#stream.on("data", (chunk: Buffer) => {
      this.#messages++;
      const code = /"error":\{"code":"(\w+)"/.exec(chunk.toString())?.[1];
      if (code !== undefined) this.end = code;
    });
    this.#stream.on("close", () => (this.end ??= "cut"));
    const message = isBinary ? request : Buffer.from(JSON.stringify(request));
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    this.#stream.write(Buffer.concat([head, message]));
  }

  /** No more messages come. */
  whole(): this {
    this.#stream.end();
    return this;
  }

  get answered(): boolean {
    return this.#messages > 0;
  }
}

function streamsOf(token: string, protocol: Protocol, name: string) {
  const open = (method: string, request: object | Uint8Array) =>
    new Open(`${protocol} ${method}`, protocol, method, token, request);
  return {
    answering: [
      open("WatchMembers", {}).whole(),
      open("WatchMembers", new Uint8Array()).whole(),
      open("HoldLock", Buffer.from([10, name.length + 2, ...Buffer.from(`${name}-b`)])).whole(),
      open("HoldLock", { name, leaseMs: 60_000 }).whole(),
      open("HoldSemaphore", { name, limit: 3 }).whole(),
      open("StreamToLeader", { data: "aGk=" }),
    ],
    silent: [open("WatchLog", { key: `${name}-none` }).whole(), open("SpillWrite", { name })],
  };
}

test("streams of a token that is taken off the file end, and what they hold is free; others stay", async () => {
  const opened = PROTOCOLS.flatMap((protocol) => [
    streamsOf(GOES, protocol, `goes-${protocol}`),
    streamsOf(LESSENS, protocol, `lessens-${protocol}`),
    streamsOf(STAYS, protocol, `stays-${protocol}`),
  ]);
  const answering = opened.flatMap((streams) => streams.answering);
  await until("all that answer have", 10_000, () => answering.every((stream) => stream.answered));
  const waiting = PROTOCOLS.map((protocol) => {
    const request = { name: `stays-${protocol}`, leaseMs: 60_000 };
    return new Open(`${protocol} waits`, protocol, "HoldLock", GOES, request).whole();
  });
  const all = [...opened.flatMap(({ answering, silent }) => [...answering, ...silent]), ...waiting];
  expect(all.filter(({ end }) => end !== null).map(({ what }) => what)).toEqual([]);

  await list(`rw ${STAYS}\nro ${LESSENS}\n`);
  const of = (index: number) =>
    opened.filter((_, i) => i % 3 === index).flatMap((o) => [...o.answering, ...o.silent]);
  const gone = [...of(0), ...waiting];
  const isRead = ({ what }: Open) => what.includes("Watch");
  const lessened = of(1).filter((stream) => !isRead(stream));
  const ending = [...gone, ...lessened];
  await until("their streams have ended", WITHIN_MS, () => ending.every(({ end }) => end !== null));
  for (const { what, end } of gone) {
    expect(`${what}: ${end}`).toBe(`${what}: ${what.startsWith("http") ? "unauthenticated" : 16}`);
  }
  for (const { what, end } of lessened) {
    expect(`${what}: ${end}`).toBe(`${what}: ${what.startsWith("http") ? "permission_denied" : 7}`);
  }
  const stay = [...of(2), ...of(1).filter(isRead)];
  expect(stay.filter(({ end }) => end !== null).map(({ what }) => what)).toEqual([]);

  const next = PROTOCOLS.map((protocol) =>
    new Open("next", protocol, "HoldLock", STAYS, { name: `goes-${protocol}` }).whole(),
  );
  await until("their locks are free", 2_000, () => next.every(({ answered }) => answered));
  expect(next.map(({ end }) => end)).toEqual([null, null]);
}, 40_000);
