import { create, type DescMethod, type MessageInitShape } from "@bufbuild/protobuf";
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
import { replyRoomOf } from "../rpc/reply-room.ts";
import { UnsentReplies } from "../rpc/unsent.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { StoredEntry } from "../store/ports.ts";
import { Admission, type ClientLimits } from "./admission.ts";
import { clientAddressOf } from "./client-address.ts";
import { holdLock } from "./hold-lock.ts";
import { withRoom } from "./replies.ts";
import { semaphoreRoutes, semaphoreStreams } from "./semaphores.ts";
import { SignsOfLife } from "./signs-of-life.ts";
import { spillRead, spillStats, spillWrite } from "./spill.ts";
import { streamBroadcast, streamToLeader } from "./streams.ts";
import { timestampOf } from "./timestamp.ts";
import { memberToWire, watchMembers } from "./watch-members.ts";

const { status, put, get, send, keepHold, spillClose } = HedgerowService.method;

/** The client API of a node, made once for all listeners: they share what it holds for callers. */
export interface ClientApi {
  /** The unary methods. */
  readonly routes: readonly PeerRoute[];
  /** Counts what is under way of them, and of all that asks the node for as much. */
  readonly admission: Admission;
  /** Bounds what of their replies waits to be sent. */
  readonly unsent: UnsentReplies;
  /** Streams, and the unary routes once more for protocols that only Connect's own handlers speak. */
  register(router: ConnectRouter): void;
}

export function createClientApi(
  node: HedgerowNode,
  clock: Clock,
  limits?: ClientLimits,
): ClientApi {
  const admission = new Admission(limits);
  const signs = new SignsOfLife(clock);
  const routes = clientRoutes(node, clock, signs).map((route) => withRoom(gated(route, admission)));
  return {
    routes,
    admission,
    unsent: new UnsentReplies(clock),
    register: (router) => registerAll(router, node, routes, clock, signs, admission),
  };
}

/** What keeps or gives back what is held, and tells of the node itself, passes at all times. */
const GATED: ReadonlySet<DescMethod> = new Set([put, get, send]);

function gated(route: PeerRoute, { calls }: Admission): PeerRoute {
  if (!GATED.has(route.method)) return route;
  return { ...route, handle: (request, call) => calls.run(() => route.handle(request, call)) };
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
    serve(HedgerowService.method.spillStats, async (request) => spillStats(node, request)),
    ...semaphoreRoutes(node, clock),
  ];
}

function registerAll(
  router: ConnectRouter,
  node: HedgerowNode,
  routes: readonly PeerRoute[],
  clock: Clock,
  signs: SignsOfLife,
  admission: Admission,
): void {
  for (const { method, handle } of routes) {
    router.rpc(method, async (request, context) => {
      const timeoutMs = context.timeoutMs() ?? DEFAULT_TIMEOUT_MS;
      const call = {
        timeoutMs,
        signal: context.signal,
        reply: replyRoomOf(context),
        roomWithinMs: context.timeoutMs() ?? Infinity, // as long as its client reads
      };
      const reply = await handle(request, call);
      return create(method.output, reply as MessageInitShape<typeof method.output>);
    });
  }
  const { method } = HedgerowService;
  const limited = <T>(context: HandlerContext, messages: () => AsyncIterable<T>) =>
    admission.streams.run(clientAddressOf(context), messages);
  router.rpc(method.broadcast, (request, context) =>
    admission.calls.runAll(() => broadcast(node, request, context)),
  );
  router.rpc(method.streamToLeader, (requests, context) =>
    limited(context, () => streamToLeader(node, requests, context)),
  );
  router.rpc(method.streamBroadcast, (requests, context) =>
    limited(context, () => streamBroadcast(node, requests, context)),
  );
  router.rpc(method.watchMembers, (request, context) =>
    limited(context, () => watchMembers(node, request, context)),
  );
  router.rpc(method.watchLog, (request, context) =>
    limited(context, () => watchLog(node, request, context)),
  );
  router.rpc(method.holdLock, (request, context) =>
    limited(context, () => holdLock(node, clock, signs, request, context)),
  );
  const holdSemaphore = semaphoreStreams(node, clock, signs);
  router.rpc(method.holdSemaphore, (request, context) =>
    limited(context, () => holdSemaphore(request, context)),
  );
  router.rpc(method.spillRead, (request, context) =>
    limited(context, () => spillRead(node, request, context)),
  );
  router.rpc(method.spillWrite, (requests, context) =>
    admission.streams.upload(clientAddressOf(context), () => spillWrite(node, requests, context)),
  );
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
