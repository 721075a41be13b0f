import { HedgerowError } from "../errors.ts";
import { isLoopback } from "../http/hosts.ts";
import type { MessageContext } from "../node/api.ts";
import type { Logger } from "../observe/logger.ts";
import { readBody } from "../rpc/body.ts";
import { errorFromFetch, refusedConnection } from "../rpc/errors.ts";
import { sleep } from "../runtime/operation.ts";
import { backoffMs, type Runtime } from "../runtime/runtime.ts";
import { MAX_MESSAGE_BYTES } from "../store/limits.ts";
import { SIGNATURE_HEADER, sign } from "./signature.ts";
import { Trouble } from "./trouble.ts";
import { Turns } from "./turns.ts";

export interface CallbackOptions {
  readonly kind: "send" | "broadcast";
  readonly url: URL;
  /** Those that count at this moment; none: requests are not signed. */
  readonly keys: () => readonly string[];
  /** What the service is told of this node: values of headers. Waits until it has started. */
  readonly about: () => Promise<Readonly<Record<"label" | "node" | "token", string>>>;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Bytes of a reply. Default 4 MiB. */
  readonly maxReplyBytes?: number | undefined;
}

/** Requests under way: of the 256 of Bun's fetch, peers leave 32 (rpc/slots.ts). */
const MAX_RUNNING = 12;
const MAX_WAITING = { messages: 1_024, bytes: 64 * 1024 * 1024 };
/** A service that is just being started again is given so many more attempts. */
const RETRIES = 4;
const PAUSE_MS = { first: 50, longest: 400 };
/** Seconds: shorter than what most servers keep. */
const KEEP_ALIVE_SECONDS = 4;
const MAX_ERROR_BYTES = 64 * 1024;
const MAX_ERROR_CHARACTERS = 500;

/** Delivers messages of one kind to a service, as POST requests. */
export class Callback {
  readonly #session: Bun.FetchSession;
  readonly #turns = new Turns(MAX_RUNNING, MAX_WAITING);
  readonly #trouble: Trouble;
  /** As it stands in errors. */
  readonly #service: string;

  constructor(private readonly options: CallbackOptions) {
    const { kind, url, runtime, logger } = options;
    this.#service = `the service at ${url.origin}${url.pathname}`;
    this.#trouble = new Trouble(runtime.clock, logger, { kind, url: url.origin + url.pathname });
    this.#session = new Bun.FetchSession({
      // No proxy reaches this machine's own loopback.
      ...(isLoopback(bareHost(url)) && { proxy: false }),
      keepAlive: { idleTimeout: KEEP_ALIVE_SECONDS, maxIdleSockets: MAX_RUNNING },
    });
  }

  /** A MessageHandler. Throws what the sender is told, as `handler_failed`; the signal's reason once it aborts. */
  readonly handle = (data: Uint8Array, context: MessageContext): Promise<Uint8Array> => {
    const { clock } = this.options.runtime;
    const deadline = clock.now() + context.timeoutMs;
    return this.#turns.run(context.signal, data.length, () =>
      this.#deliver(data, context, deadline),
    );
  };

  close(): void {
    this.#session.close();
  }

  async #deliver(data: Uint8Array, context: MessageContext, deadline: number): Promise<Uint8Array> {
    try {
      return await this.#reply(await this.#post(data, context, deadline));
    } catch (thrown) {
      const reason: unknown = context.signal.aborted ? context.signal.reason : null;
      if (HedgerowError.is(reason, "timeout")) this.#trouble.failed("no answer in time");
      if (reason !== null) throw reason;
      const error = errorFromFetch(thrown, this.#service);
      // What the service itself says may hold values, which are never logged.
      this.#trouble.failed(thrown instanceof BadStatus ? `status ${thrown.status}` : error.message);
      throw error;
    }
  }

  /** Tries again only where nobody listened: then nothing was sent. */
  async #post(data: Uint8Array, context: MessageContext, deadline: number): Promise<Response> {
    const { clock, random } = this.options.runtime;
    for (let attempt = 0; ; attempt++) {
      try {
        const request = await this.#request(data, context, deadline);
        return await this.#session.fetch(this.options.url, request);
      } catch (error) {
        if (!refusedConnection(error) || attempt >= RETRIES) throw error;
        const pauseMs = backoffMs(random, attempt, PAUSE_MS.first, PAUSE_MS.longest);
        await sleep(clock, pauseMs, context.signal);
      }
    }
  }

  async #request(
    body: Uint8Array,
    context: MessageContext,
    deadline: number,
  ): Promise<BunFetchRequestInit> {
    const { url, keys } = this.options;
    const headers = await this.#headers(context, deadline);
    const target = url.pathname + url.search;
    const signingKeys = keys();
    if (signingKeys.length > 0) {
      headers[SIGNATURE_HEADER] = sign({ method: "POST", target, headers, body }, signingKeys);
    }
    return {
      method: "POST",
      headers,
      body: body as Uint8Array<ArrayBuffer>,
      signal: context.signal,
      redirect: "manual",
      timeout: false, // fetch's own: the signal ends it
      decompress: false, // a small reply could become a large one
    };
  }

  async #headers(context: MessageContext, deadline: number): Promise<Record<string, string>> {
    const { clock } = this.options.runtime;
    const { id, attempt, from } = context;
    const { label, node, token } = await this.options.about();
    return {
      "content-type": "application/octet-stream",
      "accept-encoding": "identity",
      "user-agent": "hedgerow",
      "hedgerow-attempt": String(attempt),
      "hedgerow-from": from,
      "hedgerow-id": id,
      "hedgerow-kind": this.options.kind,
      "hedgerow-label": encodeURIComponent(label),
      "hedgerow-node": node,
      "hedgerow-timeout-ms": String(Math.max(1, Math.floor(deadline - clock.now()))),
      "hedgerow-timestamp": String(Math.floor(clock.wallMicros() / 1e6)),
      "hedgerow-token": token,
    };
  }

  async #reply(response: Response): Promise<Uint8Array> {
    const { maxReplyBytes = MAX_MESSAGE_BYTES } = this.options;
    const encoding = response.headers.get("content-encoding") ?? "identity";
    if (!response.ok) throw await badStatus(this.#service, response, encoding);
    if (encoding === "identity") return readBody(response, "reply", maxReplyBytes);
    await response.body?.cancel();
    throw failed(`${this.#service} answered in ${encoding}: answer without content-encoding`);
  }
}

/** Without the brackets of an IPv6 address. */
export function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, "");
}

class BadStatus extends HedgerowError {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super("handler_failed", message);
  }
}

/** Says the first line of what the service said. */
async function badStatus(
  service: string,
  response: Response,
  encoding: string,
): Promise<BadStatus> {
  const { status } = response;
  if (status >= 300 && status < 400) {
    await response.body?.cancel();
    return new BadStatus(status, `${service} answered ${status}: redirects are not followed`);
  }
  // What is longer, or cannot be read, says no more than the status.
  const body = await readBody(response, "reply", MAX_ERROR_BYTES).catch(() => new Uint8Array());
  const text = encoding === "identity" ? new TextDecoder().decode(body) : "";
  const line =
    text
      .trim()
      .split(/\s*[\r\n]/, 1)[0]
      ?.slice(0, MAX_ERROR_CHARACTERS) ?? "";
  return new BadStatus(status, line === "" ? `${service} answered ${status}` : line);
}

function failed(message: string): HedgerowError {
  return new HedgerowError("handler_failed", message);
}
