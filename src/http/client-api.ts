import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { messageOf } from "../errors.ts";
import {
  type BroadcastRequest,
  type BroadcastResponseSchema,
  EntrySchema,
  HedgerowService,
  type StatusResponseSchema,
  type WatchLogRequest,
  type WatchLogResponseSchema,
} from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { BroadcastReply, HedgerowNode } from "../node/api.ts";
import { DEFAULT_TIMEOUT_MS } from "../rpc/limits.ts";
import { type PeerRoute, serve } from "../rpc/port.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { StoredEntry } from "../store/ports.ts";
import { holdLock } from "./hold-lock.ts";
import { semaphoreRoutes, semaphoreStreams } from "./semaphores.ts";
import { SignsOfLife } from "./signs-of-life.ts";
import { spillRead, spillWrite } from "./spill.ts";
import { streamBroadcast, streamToLeader } from "./streams.ts";
import { timestampOf } from "./timestamp.ts";
import { memberToWire, watchMembers } from "./watch-members.ts";

const { status, put, get, send, keepHold, spillClose } = HedgerowService.method;

/** The client API of a node, made once for all listeners: they share what it holds for callers. */
export interface ClientApi {
  /** The unary methods. */
  readonly routes: readonly PeerRoute[];
  /** Streams, and the unary routes once more for protocols that only Connect's own handlers speak. */
  register(router: ConnectRouter): void;
}

export function createClientApi(node: HedgerowNode, clock: Clock): ClientApi {
  const signs = new SignsOfLife(clock);
  const routes = clientRoutes(node, clock, signs);
  return { routes, register: (router) => registerAll(router, node, routes, clock, signs) };
}

function clientRoutes(node: HedgerowNode, clock: Clock, signs: SignsOfLife): PeerRoute[] {
  return [
    serve(status, async () => statusResponse(node)),
    serve(put, async ({ key, value, noAppend, directWrite, id, ifVersion, fence }, call) => {
      const options = { noAppend, directWrite, ifVersion, fence, ...(id !== "" && { id }) };
      const { timeoutMs, signal } = call;
      const written = await node.put(key, value, { ...options, timeoutMs, signal });
      return { id: written.id, timestamp: timestampOf(written.timestamp) };
    }),
    serve(get, async ({ key, limit }, { timeoutMs, signal }) => {
      const entries = await node.get(key, { limit: Number(limit), timeoutMs, signal });
      return { entries: entries.map(entryToWire) };
    }),
    serve(send, async ({ data }, { timeoutMs, signal }) => ({
      data: await node.send(data, { timeoutMs, signal }),
    })),
    serve(keepHold, async ({ hold }) => {
      const heldForMs = signs.heard(hold);
      return heldForMs === null ? {} : { lease: durationFromMs(heldForMs) };
    }),
    serve(spillClose, async ({ name }) => {
      await node.findSpill(name).close();
      return {};
    }),
    ...semaphoreRoutes(node, clock),
  ];
}

function registerAll(
  router: ConnectRouter,
  node: HedgerowNode,
  routes: readonly PeerRoute[],
  clock: Clock,
  signs: SignsOfLife,
): void {
  for (const { method, handle } of routes) {
    router.rpc(method, async (request, context) => {
      const timeoutMs = context.timeoutMs() ?? DEFAULT_TIMEOUT_MS;
      const reply = await handle(request, { timeoutMs, signal: context.signal });
      return create(method.output, reply as MessageInitShape<typeof method.output>);
    });
  }
  router.rpc(HedgerowService.method.broadcast, (request, context) =>
    broadcast(node, request, context),
  );
  router.rpc(HedgerowService.method.streamToLeader, (requests, context) =>
    streamToLeader(node, requests, context),
  );
  router.rpc(HedgerowService.method.streamBroadcast, (requests, context) =>
    streamBroadcast(node, requests, context),
  );
  router.rpc(HedgerowService.method.watchMembers, (request, context) =>
    watchMembers(node, request, context),
  );
  router.rpc(HedgerowService.method.watchLog, (request, context) =>
    watchLog(node, request, context),
  );
  router.rpc(HedgerowService.method.holdLock, (request, context) =>
    holdLock(node, clock, signs, request, context),
  );
  router.rpc(HedgerowService.method.spillWrite, (requests, context) =>
    spillWrite(node, requests, context),
  );
  router.rpc(HedgerowService.method.spillRead, (request, context) =>
    spillRead(node, request, context),
  );
  router.rpc(HedgerowService.method.holdSemaphore, semaphoreStreams(node, clock, signs));
}

async function* broadcast(
  node: HedgerowNode,
  { data, skipSelf, onlySendTo }: BroadcastRequest,
  context: HandlerContext,
): AsyncIterable<MessageInitShape<typeof BroadcastResponseSchema>> {
  const replies = node.broadcastStream(data, {
    skipSelf,
    ...(onlySendTo.length > 0 && { onlySendTo }),
    timeoutMs: context.timeoutMs(),
    signal: context.signal,
  });
  for await (const reply of replies) yield replyToWire(reply);
}

async function* watchLog(
  node: HedgerowNode,
  { key, fromId }: WatchLogRequest,
  { signal }: HandlerContext,
): AsyncIterable<MessageInitShape<typeof WatchLogResponseSchema>> {
  for await (const entry of node.watch(key, { fromId, signal })) {
    yield { entry: entryToWire(entry) };
  }
  // The server's stop and the caller's deadline say so; somebody who has gone hears nothing.
  if (signal.reason instanceof ConnectError) throw signal.reason;
}

function replyToWire(reply: BroadcastReply): MessageInitShape<typeof BroadcastResponseSchema> {
  const { node } = reply;
  return "error" in reply
    ? { node, outcome: { case: "error", value: messageOf(reply.error) } }
    : { node, outcome: { case: "data", value: reply.data } };
}

function statusResponse(node: HedgerowNode): MessageInitShape<typeof StatusResponseSchema> {
  const { leader, token, members, ...known } = node.status();
  return {
    ...known,
    leader: leader ?? "",
    token: token ?? "",
    members: members.map(memberToWire),
  };
}

function entryToWire({ key, value, timestamp, id, leader }: StoredEntry) {
  return create(EntrySchema, { key, value, timestamp: timestampOf(timestamp), id, leader });
}
