import { HedgerowService } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { GetRequest } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { PeerRoute } from "../rpc/port.ts";
import { ReplyRoom } from "../rpc/reply-room.ts";
import type { IdleControl } from "../rpc/server.ts";
import { ClientConnection, type UnsentReplies } from "../rpc/unsent.ts";
import { MAX_KEY_BYTES, MAX_VALUE_BYTES } from "../store/limits.ts";
import { MAX_API_BYTES } from "./limits.ts";

const { get, send } = HedgerowService.method;
/** A connection that is to end, and moves nothing for so long, is ended. */
const QUIET_SECONDS = 1;
/** Of an entry, with its id, timestamp and leader. */
const MOST_ENTRY_BYTES = MAX_KEY_BYTES + MAX_VALUE_BYTES + 1024;

/** What a Get may reply, in bytes; JSON may take more, which is counted once it is known. */
export function mostBytesOf(limit: bigint | number): number {
  return limit < 0
    ? MAX_API_BYTES
    : Math.min(MAX_API_BYTES, Math.max(1, Number(limit)) * MOST_ENTRY_BYTES);
}

/** Waits, where its reply may be large, until there is room for it; nothing is done before. */
export function withRoom(route: PeerRoute): PeerRoute {
  if (route.method === get) {
    return {
      ...route,
      async handle(request, call) {
        const { signal, timeoutMs, roomWithinMs = 0.9 * timeoutMs } = call;
        const bytes = mostBytesOf((request as GetRequest).limit);
        await call.reply?.reserve(bytes, { signal, timeoutMs: roomWithinMs });
        return await route.handle(request, call);
      },
    };
  }
  if (route.method === send) {
    return {
      ...route,
      async handle(request, call) {
        call.reply?.check();
        return await route.handle(request, call);
      },
    };
  }
  return route;
}

/** The room of replies of Bun's server, which tells connections by their other end alone. */
export function roomsByAddress(all: UnsentReplies) {
  const connections = new Map<string, ClientConnection>();
  const connectionOf = (request: Request, server: IdleControl) => {
    const from = server.requestIP?.(request);
    const key = `${from?.address} ${from?.port}`;
    const known = connections.get(key);
    if (known !== undefined) return known;
    const connection = new ClientConnection({
      onIdle() {
        if (connections.get(key) === connection) connections.delete(key);
      },
    });
    connections.set(key, connection);
    return connection;
  };
  return (request: Request, server: IdleControl) =>
    new ReplyRoom(
      all,
      () => connectionOf(request, server),
      () => server.timeout(request, QUIET_SECONDS), // Bun looks every four
    );
}
