import type { HedgerowError } from "../../errors.ts";
import { silentLogger } from "../../observe/logger.ts";
import type { Clock, Timer } from "../../runtime/runtime.ts";
import { readBody } from "../body.ts";
import { errorFromFetch, errorFromResponse } from "../errors.ts";
import { MAX_CALL_BYTES } from "../limits.ts";
import type { Session } from "../session.ts";
import type { StreamTraffic } from "../traffic.ts";
import { bodyOf } from "./http-body.ts";
import type { StreamLimits } from "./limits.ts";
import { StreamLink } from "./link.ts";
import { CARRY_PATH, receiveAll, STREAM_TYPE } from "./server.ts";

/** Milliseconds in which the last words of a link that is closed are sent. */
const LAST_WORDS_MS = 200;

export interface ClientLinkOptions {
  readonly clock: Clock;
  readonly address: string;
  readonly limits?: StreamLimits | undefined;
  readonly traffic?: StreamTraffic | undefined;
}

/** The request that carries the streams to one other node. */
export class ClientLink {
  readonly link: StreamLink;
  /** Settles when the request is over. */
  readonly ended: Promise<void>;
  readonly #abort = new AbortController();
  #lastWords: Timer | null = null;

  constructor(
    session: Session,
    private readonly options: ClientLinkOptions,
  ) {
    const { clock, address, limits, traffic } = options;
    const onEnd = () => {
      this.#lastWords = clock.schedule(LAST_WORDS_MS, () => this.#abort.abort());
    };
    const shared = { clock, limits, traffic, onEnd };
    this.link = new StreamLink({ ...shared, logger: silentLogger, peer: address });
    this.ended = this.#run(session);
  }

  async #run(session: Session): Promise<void> {
    const { address } = this.options;
    try {
      const response = await session.stream(CARRY_PATH, {
        method: "POST",
        headers: {
          ...session.headers,
          "content-type": STREAM_TYPE,
          "connect-protocol-version": "1",
        },
        body: bodyOf(this.link, () => {}),
        duplex: "half",
        redirect: "manual",
        timeout: false,
        signal: this.#abort.signal,
      });
      const { status, headers, body } = response;
      if (status !== 200 || headers.get("content-type") !== STREAM_TYPE || body === null) {
        throw errorFromResponse(status, headers, await readBody(response, "reply", MAX_CALL_BYTES));
      }
      await receiveAll(body, this.link);
    } catch (error) {
      this.link.cut(errorFromFetch(error, address));
    } finally {
      this.#lastWords?.cancel();
      this.#abort.abort();
    }
  }

  /** Ends all streams with `error`, which the other side is told. */
  close(error: HedgerowError): void {
    this.link.close(error);
  }
}
