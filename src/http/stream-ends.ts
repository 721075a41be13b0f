import { toConnectError } from "../rpc/errors.ts";
import { stoppedReason } from "../rpc/handlers.ts";
import {
  accessRefusal,
  bearerToken,
  type ClientCall,
  isOpen,
  permissionFor,
  type Tokens,
} from "./access.ts";

interface Opened {
  readonly end: AbortController;
  /** The first of them. */
  readonly call: ClientCall;
}

/** Ends streams of a listener: all of them when it stops, those of a token when that counts for them no longer. */
export class StreamEnds {
  readonly #stop = new AbortController();
  /** By what they showed, and what they need: a signal for all that have both in common. */
  readonly #opened = new Map<string, Opened>();
  readonly #unfollow: () => void;

  /** Where there are no `tokens`, streams end when the listener stops. */
  constructor(private readonly tokens: Tokens | null) {
    this.#unfollow = tokens?.onChange(() => this.#look()) ?? (() => {});
  }

  /** Aborts for all when the listener stops. */
  get stopped(): AbortSignal {
    return this.#stop.signal;
  }

  /** Aborts with a ConnectError that says why. Only for calls that were not refused. */
  signalFor(call: ClientCall): AbortSignal {
    if (this.tokens === null || this.stopped.aborted || isOpen(call.path)) return this.stopped;
    const key = `${permissionFor(call.path)} ${bearerToken(call.authorization)}`;
    const opened = this.#opened.get(key) ?? { end: new AbortController(), call };
    this.#opened.set(key, opened);
    return opened.end.signal;
  }

  stop(): void {
    this.#unfollow();
    this.#stop.abort(stoppedReason());
    for (const { end } of this.#opened.values()) end.abort(this.#stop.signal.reason);
    this.#opened.clear();
  }

  #look(): void {
    for (const [key, { end, call }] of this.#opened) {
      const refusal = accessRefusal(this.tokens, call);
      if (refusal === null) continue;
      this.#opened.delete(key);
      end.abort(toConnectError(refusal));
    }
  }
}
