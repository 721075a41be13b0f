import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../../errors.ts";
import type { Logger } from "../../observe/logger.ts";
import { sleep } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { Received, StreamCallOptions, StreamInput, StreamKind, StreamRoute } from "../port.ts";
import { copyOf } from "./frame-writer.ts";
import type { StreamLimits } from "./limits.ts";
import { StreamLink } from "./link.ts";

export interface LoopbackOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly self: string;
  readonly routes: readonly StreamRoute[];
  readonly limits?: StreamLimits | undefined;
}

/** Opens a stream from a node to itself: with the same bounds and ends as to another one. */
export function openLoopback<H extends DescMessage>(
  { clock, logger, self: peer, routes, limits }: LoopbackOptions,
  kind: StreamKind<H>,
  opening: MessageInitShape<H>,
  input: StreamInput,
  options: StreamCallOptions = {},
): Promise<Received> {
  const shared = { clock, logger, peer, limits, isSilent: true };
  const opener = new StreamLink(shared);
  const taker = new StreamLink({
    ...shared,
    routes: new Map(routes.map((route) => [route.kind.name, route])),
  });
  void carry(clock, opener, taker);
  void carry(clock, taker, opener);
  const over = () => opener.close(new HedgerowError("canceled", "the stream has ended"));
  const onEnd = () => {
    over();
    options.onEnd?.();
  };
  return opener.open(kind, opening, input, { ...options, onEnd }).catch((error: unknown) => {
    over();
    throw error;
  });
}

async function carry(clock: Clock, from: StreamLink, to: StreamLink): Promise<void> {
  for (let next = await from.next(); next !== null; next = await from.next()) {
    to.receive(copyOf(next));
    await sleep(clock, 0); // two busy ends must leave the event loop its turns
  }
  to.close(new HedgerowError("canceled", "the stream has ended"));
}
