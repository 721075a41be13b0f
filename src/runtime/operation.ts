import { HedgerowError } from "../errors.ts";
import type { CallOptions, Clock } from "./runtime.ts";

/**
 * One call that waits: its deadline, the caller's signal and the node's shutdown joined in one. Timer and
 * listeners exist only once somebody asks for the signal: a call that a peer answers needs none of them.
 * Use with `using`: disposing detaches whatever there is.
 */
export class Operation {
  readonly deadline: number;
  readonly #timeoutMs: number;
  readonly #caller: AbortSignal | undefined;
  #controller: AbortController | null = null;
  #disposed = false;
  readonly #detach: (() => void)[] = [];

  /** `what` names the call in the error, as in "put". */
  constructor(
    private readonly clock: Clock,
    readonly what: string,
    options: CallOptions,
    defaultTimeoutMs: number,
    private readonly shutdown?: AbortSignal,
  ) {
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.deadline = clock.now() + this.#timeoutMs;
    this.#caller = options.signal;
  }

  /** The caller's own signal, for those that keep the deadline themselves and hear of the shutdown. */
  get callerSignal(): AbortSignal | undefined {
    return this.#caller;
  }

  /** Aborts with a HedgerowError as its reason: `timeout`, `canceled` or `stopped`. */
  get signal(): AbortSignal {
    this.#controller ??= this.#arm();
    return this.#controller.signal;
  }

  /** Why the operation is over: `timeout`, `canceled` or `stopped`; null while it is not. */
  get ended(): HedgerowError | null {
    const reason: unknown = this.#controller?.signal.reason;
    if (reason instanceof HedgerowError) return reason;
    if (this.#disposed) return null;
    if (this.#caller?.aborted) return givenReason(this.#caller) ?? this.#canceled();
    if (this.shutdown?.aborted) return givenReason(this.shutdown) ?? this.#stopped();
    return this.clock.now() >= this.deadline ? this.#timedOut() : null;
  }

  /** Milliseconds left, never below 0. */
  remainingMs(): number {
    return Math.max(0, this.deadline - this.clock.now());
  }

  /** Throws the reason once the operation is over. */
  check(): void {
    const { ended } = this;
    if (ended !== null) throw ended;
  }

  /** What `work` gives, unless the operation ends first: then its reason, whatever becomes of `work`. */
  race<T>(work: Promise<T>): Promise<T> {
    return raceSignal(work, this.signal);
  }

  /** Ends what is still under way: nobody waits for it. Does nothing once the operation is over. */
  abandon(): void {
    if (this.#controller?.signal.aborted) return;
    const message = `${this.what}: nobody waits for it any more`;
    this.#controller?.abort(new HedgerowError("canceled", message));
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const detach of this.#detach.splice(0)) detach();
  }

  #arm(): AbortController {
    const controller = new AbortController();
    const { ended } = this;
    if (ended !== null) controller.abort(ended);
    if (ended !== null || this.#disposed) return controller;
    const end = (reason: HedgerowError) => {
      controller.abort(reason);
      this[Symbol.dispose]();
    };
    if (this.deadline < Infinity) {
      const timer = this.clock.schedule(this.remainingMs(), () => end(this.#timedOut()));
      this.#detach.push(() => timer.cancel());
    }
    this.#follow(this.#caller, (reason) => end(reason ?? this.#canceled()));
    this.#follow(this.shutdown, (reason) => end(reason ?? this.#stopped()));
    return controller;
  }

  #follow(signal: AbortSignal | undefined, end: (given: HedgerowError | null) => void): void {
    if (signal === undefined) return;
    const abort = () => end(givenReason(signal));
    signal.addEventListener("abort", abort, { once: true });
    this.#detach.push(() => signal.removeEventListener("abort", abort));
  }

  #timedOut(): HedgerowError {
    const timeoutMs = Math.round(this.#timeoutMs);
    return new HedgerowError("timeout", `${this.what}: not done within ${timeoutMs} ms`);
  }

  #canceled(): HedgerowError {
    return new HedgerowError("canceled", `${this.what}: cancelled by the caller`);
  }

  #stopped(): HedgerowError {
    return new HedgerowError("stopped", `${this.what}: the node is stopping`);
  }
}

/** A HedgerowError that somebody aborted with says more than that they did. */
function givenReason(signal: AbortSignal): HedgerowError | null {
  const reason: unknown = signal.reason;
  return reason instanceof HedgerowError ? reason : null;
}

/** What `work` gives, unless `signal` aborts first: then its reason. */
export function raceSignal<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) {
      work.catch(() => {}); // its outcome no longer has a reader
      return abort();
    }
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** Waits `ms` milliseconds; rejects with the signal's reason if that aborts first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error);
    const abort = () => {
      timer.cancel();
      reject(signal?.reason as Error);
    };
    const timer = clock.schedule(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}
