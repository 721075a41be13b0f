import { HedgerowError } from "../../errors.ts";
import { PeerService } from "../../gen/hedgerow/v1/peer_pb.ts";
import type { Logger } from "../../observe/logger.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { discardPart } from "../../runtime/discard.ts";
import { peerPathOf } from "../base-route.ts";
import { errorFromFetch, errorResponse } from "../errors.ts";
import type { ConnectHandlers } from "../handlers.ts";
import type { StreamRoute } from "../port.ts";
import { type IdleControl, pathOf } from "../server.ts";
import type { Traffic } from "../traffic.ts";
import { answerOf } from "./answer.ts";
import type { StreamLimits } from "./limits.ts";
import { StreamLink } from "./link.ts";

export const CARRY_PATH = pathOf(PeerService.method.carry);
export const STREAM_TYPE = "application/connect+proto";
/** Connections of streams that other nodes may have to this one. */
const MAX_LINKS = 1_024;
/** Seconds without a byte after which a connection whose streams have ended is closed. */
const LAST_WORDS_SECONDS = 5;

export interface StreamServerOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly routes: readonly StreamRoute[];
  readonly limits?: StreamLimits | undefined;
  readonly traffic?: Traffic | undefined;
}

/** Serves the streams of other nodes: all of one node in one request, whose body and answer go on side by side. */
export class StreamServer implements ConnectHandlers {
  readonly #links = new Set<StreamLink>();
  readonly #routes: ReadonlyMap<string, StreamRoute>;
  #stopped: HedgerowError | null = null;

  constructor(private readonly options: StreamServerOptions) {
    this.#routes = new Map(options.routes.map((route) => [route.kind.name, route]));
  }

  readonly handle = (request: Request, server: IdleControl): Promise<Response> | undefined => {
    if (peerPathOf(request.url) !== CARRY_PATH) return undefined;
    const refusal = this.#refusal(request);
    if (refusal !== null) return Promise.resolve(errorResponse(refusal));
    server.timeout(request, 0); // signs of life take its place
    return Promise.resolve(this.#carry(request, server));
  };

  /** Ends all streams with `stopped`, and refuses those to come. */
  stop(): void {
    this.#stopped = new HedgerowError("stopped", "the node is stopping");
    for (const link of [...this.#links]) link.close(this.#stopped);
  }

  #refusal({ headers, method, body }: Request): HedgerowError | null {
    if (this.#stopped !== null) return this.#stopped;
    if (this.#links.size >= MAX_LINKS) {
      return new HedgerowError("overloaded", `${MAX_LINKS} nodes have streams to this one already`);
    }
    if (method === "POST" && body !== null && headers.get("content-type") === STREAM_TYPE)
      return null;
    return new HedgerowError("invalid_argument", `POST ${STREAM_TYPE} to ${CARRY_PATH}`);
  }

  #carry(request: Request, server: IdleControl): Response {
    const { clock, logger, limits, traffic } = this.options;
    const peer = "the caller";
    const link = new StreamLink({
      clock,
      logger,
      peer,
      limits,
      traffic: traffic?.streams,
      routes: this.#routes,
      onEnd: () => {
        this.#links.delete(link);
        server.timeout(request, LAST_WORDS_SECONDS); // a dead connection would stay open
      },
    });
    this.#links.add(link);
    const gone = (error: unknown) => link.cut(errorFromFetch(error, peer));
    request.signal.addEventListener("abort", () => gone(new Error("it went away")), { once: true });
    void receiveAll(request.body as ReadableStream<Uint8Array>, link).catch(gone);
    const body = answerOf(link, () => gone(new Error("it went away")));
    return new Response(body, { headers: { "content-type": STREAM_TYPE } });
  }
}

/** Until the body or the link ends. */
export async function receiveAll(
  body: ReadableStream<Uint8Array>,
  link: StreamLink,
): Promise<void> {
  for await (const bytes of body) {
    if (link.ended) return;
    if (link.receive(bytes)) discardPart(bytes);
  }
  throw new HedgerowError("outcome_unknown", "the connection of the streams was closed");
}
