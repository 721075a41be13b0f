import { HedgerowError } from "../../errors.ts";
import { silentLogger } from "../../observe/logger.ts";
import type { Clock, Timer } from "../../runtime/runtime.ts";
import { errorFromFetch, errorFromResponse } from "../errors.ts";
import type { Session } from "../session.ts";
import type { StreamTraffic } from "../traffic.ts";
import type { StreamLimits } from "./limits.ts";
import { StreamLink } from "./link.ts";
import { CARRY_PATH, STREAM_TYPE } from "./server.ts";

/** Milliseconds in which the last words of a link that is closed are sent. */
const LAST_WORDS_MS = 200;
/** Of an answer that refuses the request. */
const MAX_REFUSAL_BYTES = 64 * 1024;

export interface ClientLinkOptions {
  readonly clock: Clock;
  readonly address: string;
  readonly limits?: StreamLimits | undefined;
  readonly traffic?: StreamTraffic | undefined;
}

interface Refusal {
  readonly status: number;
  readonly headers: Headers;
  body: Uint8Array;
}

/** The request that carries the streams to one other node. */
export class ClientLink {
  readonly link: StreamLink;
  /** Resolves when the request is over. */
  readonly ended: Promise<void>;
  readonly #abort = new AbortController();
  #lastWords: Timer | null = null;

  constructor(
    session: Session,
    private readonly options: ClientLinkOptions,
  ) {
    const { clock, address, limits, traffic } = options;
    const onEnd = (isCut: boolean) => {
      const end = () => this.#abort.abort();
      if (isCut) end();
      else this.#lastWords = clock.schedule(LAST_WORDS_MS, end);
    };
    const shared = { clock, limits, traffic, room: session.room, onEnd };
    this.link = new StreamLink({ ...shared, logger: silentLogger, peer: address });
    this.ended = this.#run(session);
  }

  /** Ends all streams with `error`, which the other side is told. */
  close(error: HedgerowError): void {
    this.link.close(error);
  }

  async #run(session: Session): Promise<void> {
    const { address } = this.options;
    const { link } = this;
    let refusal: Refusal | null = null;
    try {
      await session.stream(CARRY_PATH, {
        headers: {
          ...session.headers,
          "content-type": STREAM_TYPE,
          "connect-protocol-version": "1",
        },
        signal: this.#abort.signal,
        next: () => link.next(),
        answered(status, headers) {
          if (status === 200 && headers.get("content-type") === STREAM_TYPE) return;
          refusal = { status, headers, body: new Uint8Array() };
        },
        receive(bytes) {
          if (refusal === null) return link.receive(bytes);
          refusal.body = Buffer.concat([refusal.body, bytes]).subarray(0, MAX_REFUSAL_BYTES);
          return true;
        },
      });
      link.cut(refusal === null ? closed(address) : errorOf(refusal));
    } catch (error) {
      link.cut(errorFromFetch(error, address));
    } finally {
      this.#lastWords?.cancel();
      this.#abort.abort();
    }
  }
}

function errorOf({ status, headers, body }: Refusal): HedgerowError {
  if (status !== 200) return errorFromResponse(status, headers, body);
  return new HedgerowError("outcome_unknown", "what answered does not speak Connect");
}

function closed(address: string): HedgerowError {
  return new HedgerowError("outcome_unknown", `${address} closed the connection of its streams`);
}
