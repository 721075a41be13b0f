import { HedgerowError } from "../errors.ts";
import type { CallOptions, Clock, Timer } from "./runtime.ts";

/**
 * One call that waits: its deadline, the caller's signal and the node's shutdown joined in one signal.
 * Use with `using`: disposing detaches every listener and the timer.
 */
export class Operation {
  readonly deadline: number;
  readonly #controller = new AbortController();
  readonly #timer: Timer;
  readonly #detach: (() => void)[] = [];

  /** `what` names the call in the error, as in "put". */
  constructor(
    private readonly clock: Clock,
    readonly what: string,
    options: CallOptions,
    defaultTimeoutMs: number,
    shutdown?: AbortSignal,
  ) {
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.deadline = clock.now() + timeoutMs;
    this.#timer = clock.schedule(timeoutMs, () =>
      this.#abort(
        new HedgerowError("timeout", `${what}: not done within ${Math.round(timeoutMs)} ms`),
      ),
    );
    this.#follow(
      options.signal,
      () => new HedgerowError("canceled", `${what}: cancelled by the caller`),
    );
    this.#follow(shutdown, () => new HedgerowError("stopped", `${what}: the node is stopping`));
  }

  /** Aborts with a HedgerowError as its reason: `timeout`, `canceled` or `stopped`. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Milliseconds left, never below 0. */
  remainingMs(): number {
    return Math.max(0, this.deadline - this.clock.now());
  }

  /** Throws the reason once the operation is over. */
  check(): void {
    if (this.signal.aborted) throw this.signal.reason;
  }

  /** What `work` gives, unless the operation ends first: then its reason, whatever becomes of `work`. */
  race<T>(work: Promise<T>): Promise<T> {
    return raceSignal(work, this.signal);
  }

  /** Waits, and throws the reason if the operation ends first. */
  sleep(ms: number): Promise<void> {
    return sleep(this.clock, ms, this.signal);
  }

  /** Ends what is still under way: nobody waits for it. Does nothing once the operation is over. */
  abandon(): void {
    this.#abort(new HedgerowError("canceled", `${this.what}: nobody waits for it any more`));
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
    for (const detach of this.#detach.splice(0)) detach();
  }

  #abort(reason: HedgerowError): void {
    this.#controller.abort(reason);
    this[Symbol.dispose]();
  }

  #follow(signal: AbortSignal | undefined, reason: () => HedgerowError): void {
    if (signal === undefined) return;
    const abort = () => {
      const given: unknown = signal.reason;
      this.#abort(given instanceof HedgerowError ? given : reason());
    };
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    this.#detach.push(() => signal.removeEventListener("abort", abort));
  }
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
