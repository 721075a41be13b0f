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
  #reason: HedgerowError | null = null;
  #armed = false;
  #disposed = false;
  /** What ends the races under way: they do without the signal, which costs as much as the rest of a call. */
  readonly #racing = new Set<(reason: HedgerowError) => void>();
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
    if (this.#controller === null) {
      this.#controller = new AbortController();
      this.#arm();
      if (this.#reason !== null) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Why the operation is over: `timeout`, `canceled` or `stopped`; null while it is not. */
  get ended(): HedgerowError | null {
    if (this.#reason !== null || this.#disposed) return this.#reason;
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
    this.#arm();
    return new Promise((resolve, reject) => {
      if (this.#reason !== null) {
        work.catch(() => {}); // its outcome no longer has a reader
        return reject(this.#reason);
      }
      this.#racing.add(reject);
      work.then(
        (value) => {
          this.#racing.delete(reject);
          resolve(value);
        },
        (error) => {
          this.#racing.delete(reject);
          reject(error);
        },
      );
    });
  }

  /** Ends what is still under way: nobody waits for it. Does nothing once the operation is over. */
  abandon(): void {
    if (this.#reason !== null || !this.#armed) return;
    this.#end(new HedgerowError("canceled", `${this.what}: nobody waits for it any more`));
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const detach of this.#detach.splice(0)) detach();
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#reason = this.ended;
    if (this.#reason !== null || this.#disposed) return;
    if (this.deadline < Infinity) {
      const timer = this.clock.schedule(this.remainingMs(), () => this.#end(this.#timedOut()));
      this.#detach.push(() => timer.cancel());
    }
    this.#follow(this.#caller, (reason) => this.#end(reason ?? this.#canceled()));
    this.#follow(this.shutdown, (reason) => this.#end(reason ?? this.#stopped()));
  }

  #end(reason: HedgerowError): void {
    this.#reason = reason;
    for (const reject of this.#racing) reject(reason);
    this.#controller?.abort(reason);
    this[Symbol.dispose]();
  }

  #follow(signal: AbortSignal | undefined, end: (given: HedgerowError | null) => void): void {
    if (signal === undefined) return;
    const abort = () => end(givenReason(signal));
    signal.addEventListener("abort", abort, { once: true });
    this.#detach.push(() => signal.removeEventListener("abort", abort));
  }

  #timedOut(): HedgerowError {
    const timeoutMs = Math.round(Math.max(0, this.#timeoutMs));
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
