import { type ErrorCode, HedgerowError } from "../../../src/errors.ts";
import type { CallOptions } from "../../../src/runtime/runtime.ts";
import type {
  AppendOutcome,
  Fence,
  LogStore,
  NewEntry,
  Store,
  TakeOver,
  TakeOverResult,
} from "../../../src/store/ports.ts";
import type { Machine } from "./machine.ts";
import type { Prng } from "./prng.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Trace } from "./trace.ts";

const DEFAULT_TIMEOUT_MS = 10_000;

/** How the database misbehaves; all may change at any time. */
export interface StoreFaults {
  /** Milliseconds one way. */
  minDelayMs: number;
  maxDelayMs: number;
  /** Nothing reaches the database: calls hang until their time-out. */
  down: boolean;
  /** The addresses of those for whom it is down. */
  cutOff: ReadonlySet<string>;
  /** Probability that a call is applied and its reply lost. */
  lostReply: number;
  /** Probability that a call is refused at once, not applied. */
  refusal: number;
  /** Every append is refused with this, not applied. */
  appendError: ErrorCode | null;
}

/** Told of every commit, at the moment and in the order in which the database makes them. */
export interface CommitObserver {
  acquired(token: number, takeOver: TakeOver, at: number): void;
  appended(
    entries: readonly NewEntry[],
    outcomes: readonly AppendOutcome[],
    fence: Fence | null,
  ): void;
  /** A Go contender inserted the marker of the token that it judged. */
  marked(judged: number | null, at: number): void;
  /** A Go leader deleted all markers. */
  unmarked(): void;
  /** A Go contender wrote itself into the lock's row. */
  overwritten(token: number, writer: string, at: number): void;
}

export const NO_STORE_FAULTS: StoreFaults = {
  minDelayMs: 0.1,
  maxDelayMs: 3,
  down: false,
  cutOff: new Set(),
  lostReply: 0,
  refusal: 0,
  appendError: null,
};

/** The way from one process to the database and back. */
export class StoreLink {
  constructor(
    private readonly database: Store,
    private readonly address: string,
    private readonly machine: Machine,
    private readonly scheduler: Scheduler,
    private readonly prng: Prng,
    private readonly faults: StoreFaults,
    private readonly trace: Trace,
    private readonly observer: CommitObserver,
  ) {}

  /** The database as the process sees it. */
  store(): Store {
    const { lock, log, semaphores } = this.database;
    const { observer, scheduler } = this;
    if (log === null || semaphores === null) throw new Error("the simulated database has a log");
    return {
      lock: {
        read: (name, options) => this.#call("read", options, () => lock.read(name)),
        acquire: (takeOver, options) =>
          this.#call(
            "acquire",
            options,
            () => lock.acquire(takeOver),
            (result: TakeOverResult) => {
              if (result.kind === "acquired")
                observer.acquired(result.token, takeOver, scheduler.now);
            },
          ),
        renew: (name, token, options) =>
          this.#call("renew", options, () => lock.renew(name, token)),
        release: (name, token, options) =>
          this.#call("release", options, () => lock.release(name, token)),
      },
      log: {
        append: (entries, fence, options) =>
          this.#call(
            "append",
            options,
            () => this.#append(log, entries, fence),
            (outcomes) => observer.appended(entries, outcomes, fence),
          ),
        read: (key, limit, options) => this.#call("get", options, () => log.read(key, limit)),
        readAfter: (key, after, limit, options) =>
          this.#call("read on", options, () => log.readAfter(key, after, limit)),
        locate: (key, id, options) => this.#call("locate", options, () => log.locate(key, id)),
        keys: (after, limit, options) => this.#call("keys", options, () => log.keys(after, limit)),
        trim: (keys, keep, limit, fence, options) =>
          this.#call("trim", options, () => log.trim(keys, keep, limit, fence)),
      },
      semaphores: {
        read: (name, options) => this.#call("read permits", options, () => semaphores.read(name)),
        change: (changes, fence, options) =>
          this.#call("change permits", options, () => semaphores.change(changes, fence)),
      },
      ping: (options) => this.#call("ping", options, () => this.database.ping()),
      close: async () => {},
    };
  }

  async #append(log: LogStore, entries: readonly NewEntry[], fence: Fence | null) {
    const { appendError } = this.faults;
    if (appendError !== null) throw new HedgerowError(appendError, "store: append refused");
    return await log.append(entries, fence);
  }

  #call<T>(
    what: string,
    options: CallOptions = {},
    apply: () => Promise<T>,
    committed: (result: T) => void = () => {},
  ): Promise<T> {
    const { machine, faults, prng } = this;
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    return new Promise((resolve, reject) => {
      const timer = machine.schedule(timeoutMs, () =>
        reject(new HedgerowError("timeout", `store: ${what} not answered`)),
      );
      const answer = (settle: () => void) =>
        this.#travel(`${what} answer`, () =>
          machine.arrive(() => {
            timer.cancel();
            settle();
          }),
        );
      if (prng.chance(faults.refusal)) {
        answer(() => reject(new HedgerowError("unavailable", `store: ${what} refused`)));
        return;
      }
      const lost = prng.chance(faults.lostReply);
      this.#travel(what, () =>
        apply().then(
          (result) => {
            committed(result);
            if (!lost) answer(() => resolve(result));
          },
          (error: unknown) => answer(() => reject(HedgerowError.from(error))),
        ),
      );
    });
  }

  /** To the database or back: nothing travels while it is down. */
  #travel(what: string, arrive: () => void): void {
    const delayMs = this.prng.between(this.faults.minDelayMs, this.faults.maxDelayMs);
    this.scheduler.after(delayMs, () => {
      if (this.faults.down || this.faults.cutOff.has(this.address)) return;
      this.trace.add(this.scheduler.now, `store ${what}`);
      arrive();
    });
  }
}
