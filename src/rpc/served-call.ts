import { HedgerowError } from "../errors.ts";
import type { Deadlines, Expiring } from "./deadlines.ts";
import type { ServedCall } from "./port.ts";
import type { ReplyRoom } from "./reply-room.ts";

/** A call on the side that serves it. It ends with its deadline, whatever its caller or its handler does. */
export class CallInProgress implements ServedCall, Expiring {
  #controller: AbortController | null = null;
  #fail: (error: HedgerowError) => void = () => {};
  /** Its request has come. */
  isWhole = false;

  /** `caller` aborts when the caller goes away; absent for calls that travelled in a batch. */
  constructor(
    private readonly deadlines: Deadlines,
    readonly deadline: number,
    readonly timeoutMs: number,
    private readonly caller?: Pick<Request, "signal">,
    readonly reply?: ReplyRoom | undefined,
  ) {}

  /** Made when a handler asks for it: most never do, and it costs as much as decoding the request. */
  get signal(): AbortSignal | undefined {
    if (this.caller === undefined) return undefined;
    if (this.#controller === null) {
      const controller = new AbortController();
      this.#controller = controller;
      const gone = () => controller.abort(new HedgerowError("canceled", "the caller went away"));
      if (this.caller.signal.aborted) gone();
      else this.caller.signal.addEventListener("abort", gone, { once: true });
    }
    return this.#controller.signal;
  }

  /** What `work` gives, or a `timeout` error at the deadline. */
  within<T>(work: (call: ServedCall) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#fail = reject;
      this.deadlines.add(this);
      work(this).then(
        (result) => {
          this.deadlines.delete(this);
          resolve(result);
        },
        (error: unknown) => {
          this.deadlines.delete(this);
          reject(error as Error);
        },
      );
    });
  }

  /** The server stops: a request that has not come by now is waited for no longer. */
  stop(): void {
    if (!this.isWhole) this.#fail(stopped());
  }

  expire(): void {
    const error = new HedgerowError("timeout", `not done within ${Math.round(this.timeoutMs)} ms`);
    this.#controller?.abort(error);
    this.#fail(error);
  }
}

export function stopped(): HedgerowError {
  return new HedgerowError("stopped", "the node is stopping");
}
