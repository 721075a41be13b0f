import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import {
  HedgerowService,
  type HoldSemaphoreRequest,
  type HoldSemaphoreResponseSchema,
} from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { HedgerowNode } from "../node/api.ts";
import { type PeerRoute, serve } from "../rpc/port.ts";
import type { Clock } from "../runtime/runtime.ts";
import { whileHeld } from "./hold.ts";
import { PermitLeases } from "./permit-leases.ts";
import type { SignsOfLife } from "./signs-of-life.ts";

const { acquireSemaphore, releaseSemaphore } = HedgerowService.method;

/** Permits for callers that cannot hold a stream. */
export function semaphoreRoutes(node: HedgerowNode, clock: Clock): PeerRoute[] {
  const leases = new PermitLeases(node, clock);
  return [
    serve(acquireSemaphore, async ({ name, limit, owner, wait }, { timeoutMs, signal }) => {
      if (owner === "") {
        const message = "owner is empty: name one, the same again prolongs its permit";
        throw new HedgerowError("invalid_argument", message);
      }
      const waitMs = wait === undefined ? undefined : durationMs(wait);
      const request = { name, limit, owner, waitMs };
      const leaseMs = await leases.acquire(request, { timeoutMs, signal });
      return { owner, lease: durationFromMs(leaseMs) };
    }),
    serve(releaseSemaphore, async ({ name, owner }) => ({
      released: await leases.release(name, owner),
    })),
  ];
}

/** Takes a permit for each caller, and holds it until the stream ends on either side. */
export function semaphoreStreams(node: HedgerowNode, clock: Clock, signs: SignsOfLife) {
  let streams = 0;
  return async function* hold(
    request: HoldSemaphoreRequest,
    { signal }: HandlerContext,
  ): AsyncGenerator<MessageInitShape<typeof HoldSemaphoreResponseSchema>> {
    using holder = signs.listen(request.hold);
    const semaphore = node.semaphore(request.name, request.limit);
    const owner = request.owner || `${node.address}/${clock.wallMicros()}-${streams++}`;
    const waitMs = request.wait === undefined ? undefined : durationMs(request.wait);
    const options = { owner, signal, detached: true };
    const held =
      waitMs !== undefined && waitMs <= 0
        ? await semaphore.tryAcquire(options)
        : await semaphore.acquire({ ...options, timeoutMs: waitMs });
    yield* whileHeld(clock, held, { signal, holder }, (heldForMs) => ({
      owner,
      lease: durationFromMs(heldForMs),
    }));
  };
}
