import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { type ContextValues, createContextValues, type HandlerContext } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import type { Clock, Timer } from "../runtime/runtime.ts";
import { toConnectError } from "./errors.ts";

export interface StreamContextOptions {
  readonly method: DescMethod;
  readonly protocolName: string;
  readonly url: string;
  readonly requestHeader: Headers;
  /** Aborts when the caller has gone. */
  readonly caller: AbortSignal;
  /** Ends the call with its reason. */
  readonly shutdown: AbortSignal;
  /** Called with that reason, should it come to this. */
  readonly onShutdown?: ((reason: unknown) => void) | undefined;
  readonly clock: Clock;
  /** Undefined: the call may last. */
  readonly timeoutMs?: number | undefined;
  readonly values?: ContextValues | undefined;
}

/**
 * What a handler is told of its stream. As Connect's own, but that signal and headers are made when somebody asks for
 * them: a node may have thousands of streams open, of which each would hold four controllers and three sets of headers.
 */
export class StreamContext implements HandlerContext, EventListenerObject {
  readonly requestMethod = "POST";
  readonly #deadline: number | null = null;
  #timer: Timer | null = null;
  #controller: AbortController | null = null;
  #responseHeader: Headers | null = null;
  #responseTrailer: Headers | null = null;
  #values: ContextValues | null;
  #ended: { readonly reason: unknown } | null = null;

  constructor(private readonly options: StreamContextOptions) {
    const { caller, shutdown, clock, timeoutMs, values = null } = options;
    this.#values = values;
    for (const signal of [shutdown, caller]) {
      if (signal.aborted) this.#follow(signal);
      else signal.addEventListener("abort", this);
    }
    if (timeoutMs === undefined) return;
    this.#deadline = clock.now() + timeoutMs;
    if (timeoutMs > 0) this.#timer = clock.schedule(timeoutMs, () => this.abort(late(timeoutMs)));
    else this.abort(late(timeoutMs));
  }

  get method(): DescMethod {
    return this.options.method;
  }

  get service(): DescService {
    return this.options.method.parent;
  }

  get protocolName(): string {
    return this.options.protocolName;
  }

  get url(): string {
    return this.options.url;
  }

  get requestHeader(): Headers {
    return this.options.requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  get values(): ContextValues {
    this.#values ??= createContextValues();
    return this.#values;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#ended !== null) this.#controller.abort(this.#ended.reason);
    }
    return this.#controller.signal;
  }

  timeoutMs(): number | undefined {
    return this.#deadline === null ? undefined : this.#deadline - this.options.clock.now();
  }

  /** The call is over, or must be. The first reason counts. */
  abort(reason?: unknown): void {
    if (this.#ended !== null) return;
    this.#ended = { reason };
    this.#timer?.cancel();
    for (const signal of [this.options.shutdown, this.options.caller]) {
      signal.removeEventListener("abort", this);
    }
    this.#controller?.abort(reason);
  }

  handleEvent({ target }: Event): void {
    this.#follow(target as AbortSignal);
  }

  #follow(signal: AbortSignal): void {
    this.abort(signal.reason);
    if (signal === this.options.shutdown) this.options.onShutdown?.(signal.reason);
  }
}

function late(timeoutMs: number): Error {
  return toConnectError(new HedgerowError("timeout", `not done within ${timeoutMs} ms`));
}
