import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import type { HoldLockRequest, HoldLockResponseSchema } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { HedgerowNode } from "../node/api.ts";
import type { Clock } from "../runtime/runtime.ts";
import { whileHeld } from "./hold.ts";
import type { SignsOfLife } from "./signs-of-life.ts";

/** Takes a lock for a caller, and holds it until the stream ends on either side. */
export async function* holdLock(
  node: HedgerowNode,
  clock: Clock,
  signs: SignsOfLife,
  { name, leaseMs, wait, hold }: HoldLockRequest,
  { signal }: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof HoldLockResponseSchema>> {
  using holder = signs.listen(hold);
  const lock = node.lock(name, leaseMs === 0 ? {} : { leaseMs });
  const waitMs = wait === undefined ? undefined : durationMs(wait);
  const held =
    waitMs !== undefined && waitMs <= 0
      ? await lock.tryAcquire({ signal })
      : await lock.acquire({ signal, timeoutMs: waitMs });
  const { token } = held;
  yield* whileHeld(clock, held, { signal, holder }, (heldForMs) => ({
    token,
    lease: durationFromMs(heldForMs),
  }));
}
