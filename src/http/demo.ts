import { Hono } from "hono";
import { HedgerowError, messageOf } from "../errors.ts";
import type { BroadcastReply, HedgerowNode } from "../node/api.ts";
import type { Logger } from "../observe/logger.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { StoredEntry } from "../store/ports.ts";
import { readText } from "./body.ts";
import { failure, statusOf } from "./failure.ts";
import { spillAndReadBack } from "./sos.ts";
import { plain } from "./respond.ts";
import { goTime } from "./time.ts";

const NO_VALUE = `invalid msg format: give "KEY VALUE" as the body, as in curl -d 'k v'`;
const NO_KEY = "give the key as the body, as in curl -d key";

/** What is sent when the caller gives nothing. */
const DEFAULT_MESSAGE = "hello";
const DEFAULT_STREAMED = "test";
const STREAM_TIMEOUT_MS = 10_000;

export interface DemoOptions {
  /** Of a request's body. Default: what a message or an entry may have. */
  readonly maxBytes?: number;
  /** Half a request is waited for no longer than until then. */
  readonly shutdown?: AbortSignal;
}

/** The endpoints of the Go system's demo, any method: its texts, but with a true status. */
export function demoRoutes(
  node: HedgerowNode,
  hostname: string,
  logger: Logger,
  clock: Clock,
  { maxBytes, shutdown }: DemoOptions = {},
): Hono {
  const app = new Hono();
  const textOf = (request: Request) => readText(request, clock, maxBytes, shutdown);

  app.all("/put", async (c) => {
    const body = await textOf(c.req.raw);
    const space = body.indexOf(" ");
    if (space === -1) throw new HedgerowError("invalid_argument", NO_VALUE);
    const key = body.slice(0, space);
    const value = body.slice(space + 1);
    await node.put(key, value, { signal: c.req.raw.signal });
    return plain(200, `put: sender=${hostname}, key=${key}, value=${value}`);
  });

  app.all("/get", async (c) => {
    const key = await textOf(c.req.raw);
    if (key === "") throw new HedgerowError("invalid_argument", NO_KEY);
    const entries = await node.get(key, { signal: c.req.raw.signal });
    return plain(
      200,
      `get: sender=${hostname}, key=${key}, value=[${entries.map(goEntry).join(" ")}]`,
    );
  });

  app.all("/send", async (c) => {
    const message = (await textOf(c.req.raw)) || DEFAULT_MESSAGE;
    const reply = await node.sendToLeader(message, { signal: c.req.raw.signal });
    return plain(200, `sender=${hostname}, reply=${new TextDecoder().decode(reply)}`);
  });

  app.all("/broadcast", async (c) => {
    const message = (await textOf(c.req.raw)) || DEFAULT_MESSAGE;
    const replies = await node.broadcast(message, { signal: c.req.raw.signal });
    const lines = replies.map(
      (reply) => `broadcast: sender=${hostname}, reply=${replyText(reply)}\n`,
    );
    return plain(broadcastStatus(replies), lines.join(""));
  });

  app.all("/sos", async (c) => {
    // A store of its own, whoever else uses the name: it is freed at the end.
    const name = `sos/${c.req.query("name") ?? ""}/${clock.wallMicros()}`;
    await spillAndReadBack(node, name, c.req.raw.signal);
    return plain(200, "OK");
  });

  app.all("/streamsend", async (c) => {
    const message = (await textOf(c.req.raw)) || DEFAULT_STREAMED;
    const call = { signal: c.req.raw.signal, timeoutMs: STREAM_TIMEOUT_MS };
    for await (const _ of node.streamToLeader([message], call)); // it has ended well when all came
    return plain(200, "OK");
  });

  app.all("/streambroadcast", async (c) => {
    const message = (await textOf(c.req.raw)) || DEFAULT_STREAMED;
    const call = { signal: c.req.raw.signal, timeoutMs: STREAM_TIMEOUT_MS };
    const ended = new Map<string, BroadcastReply>();
    for await (const reply of node.streamBroadcast([message], call)) ended.set(reply.node, reply);
    const last = [...ended.values()];
    const status = broadcastStatus(last);
    return plain(status, status === 200 ? "OK" : last.map(replyText).join("\n"));
  });

  app.onError((error) => failure(error, logger, plain));
  return app;
}

function goEntry(entry: StoredEntry): string {
  return `{Key:${entry.key} Value:${entry.value} Timestamp:${goTime(entry.timestamp)}}`;
}

function replyText(reply: BroadcastReply): string {
  return "error" in reply ? messageOf(reply.error) : new TextDecoder().decode(reply.data);
}

/** 200 as soon as one member replied; where all failed, the status of the first error. */
function broadcastStatus(replies: readonly BroadcastReply[]): number {
  const [first] = replies;
  const allFailed = replies.every((reply) => "error" in reply);
  return allFailed && first !== undefined && "error" in first ? statusOf(first.error) : 200;
}
