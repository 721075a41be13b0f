import { HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { SeldomWarner } from "../observe/seldom.ts";
import { Operation } from "../runtime/operation.ts";
import { backoffMs, type Runtime, type Timer } from "../runtime/runtime.ts";
import type { Fence, LockRow, LockStore } from "../store/ports.ts";
import * as decider from "./decider.ts";
import type { LeaseTiming } from "./timing.ts";

/** What the holder of a lease may rely on for its writes. */
export interface Claim {
  readonly token: number;
  /** For the database to check. null only in the control binary, whose protections are off. */
  readonly fence: Fence | null;
}

/** Who leads, as the parts that act as leader see it. */
export interface Leadership {
  /**
   * The claim while this node surely leads, else null: compares the clock with the deadline, no I/O.
   * Ask at entry, after every await, and right before the effect.
   */
  claim(): Claim | null;
  /** The database refused a write with this token: stop leading under it at once. */
  refute(token: number): void;
}

export interface LeaseOptions {
  readonly store: LockStore;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly timing: LeaseTiming;
  /** Name of the lock's row. */
  readonly rowName: string;
  /** `host:port` of this node. */
  readonly writer: string;
  /** Told once per gain and once per loss, with the reason; errors and delays of it stall nothing. */
  readonly onChange: (holds: boolean, token: number, why: string) => void;
  /** Told of every row that was read. */
  readonly onRow?: (row: LockRow) => void;
  /** Told of every look at the row that did not take it, with the error if that is why. */
  readonly onMiss?: (error: HedgerowError | null) => void;
  /** false in the control binary: the database checks no token. */
  readonly fenced: boolean;
  /** Ends at the loss of what it held, instead of contending for another token. Default false. */
  readonly once?: boolean;
}

/** How often what has happened to a lease, since the node's start. */
export interface LeaseFigures {
  readonly gains: number;
  readonly losses: number;
  readonly renewals: number;
  /** Calls to the store that failed. */
  readonly failures: number;
}

/** How long a stopping node waits for a call in flight, and for its release. */
const STOP_CALL_MS = 2_000;

/** The loop that contends for a lease, renews it, and steps down by its own clock. */
export class Lease implements Leadership {
  #state: decider.LockState;
  /** The token whose gain was told, until its loss is. */
  #toldToken: number | null = null;
  #wake: (() => void) | null = null;
  #timer: Timer | null = null;
  #failures = 0;
  #kicks = 0;
  /** A token that is said to have been given up. */
  #freed: number | null = null;
  #lagMs = 0;
  #iterations = 0;
  #renewedAt = 0;
  readonly #figures = { gains: 0, losses: 0, renewals: 0, failures: 0 };
  #over = false;
  readonly #stopped = new AbortController();
  readonly #warner: SeldomWarner;
  #stopping = false;
  #running: Promise<void> | null = null;

  constructor(private readonly options: LeaseOptions) {
    this.#state = decider.contendFrom(this.#now());
    this.#warner = new SeldomWarner(options.runtime.clock, options.logger);
  }

  /** How often the loop went round. */
  get iterations(): number {
    return this.#iterations;
  }

  get figures(): LeaseFigures {
    return this.#figures;
  }

  /** When the lease was taken or renewed last, microseconds since the epoch; null while it is not held. */
  get renewedAtMicros(): number | null {
    const { clock } = this.options.runtime;
    if (this.claim() === null) return null;
    return clock.wallMicros() - 1e3 * (clock.now() - this.#renewedAt);
  }

  claim(): Claim | null {
    const state = this.#state;
    if (state.kind !== "leading" || this.#stopping) return null;
    if (this.#now() >= state.deadline) return null;
    const { fenced, rowName } = this.options;
    return { token: state.token, fence: fenced ? { name: rowName, token: state.token } : null };
  }

  /** For how many milliseconds from now it is held without another renewal; 0 where it is not held. */
  get heldForMs(): number {
    const state = this.#state;
    return state.kind === "leading" ? Math.max(0, state.deadline - this.#now()) : 0;
  }

  refute(token: number): void {
    if (this.#state.kind !== "leading" || this.#state.token !== token) return;
    this.#lose("the database refused the token");
    this.#wake?.();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /**
   * Look at the row now: somebody said that it is free, or that its writer does not answer. With the token that
   * was given up the look is spared: the take-over's own transaction finds out whether it was.
   */
  kick(freed?: number): void {
    this.#kicks++;
    if (freed !== undefined) this.#freed = freed;
    this.#lookNow();
    this.#wake?.();
  }

  /** How much later than it might this contender looks at the row of a holder that is silent: others come first. */
  set lagMs(ms: number) {
    this.#lagMs = ms;
    this.#wake?.();
  }

  /**
   * Ends the loop, awaits the call in flight, and gives the lease up if this node holds it. Resolves to
   * the token given up, or null. Takes at most twice STOP_CALL_MS.
   */
  async stop(): Promise<number | null> {
    this.#stopping = true;
    this.#wake?.();
    const { clock } = this.options.runtime;
    const giveUp = clock.schedule(STOP_CALL_MS, () => this.#stopped.abort());
    await this.#running;
    giveUp.cancel();
    const held = this.#state.kind === "leading" ? this.#state.token : null;
    if (held === null) return null;
    try {
      const { store, rowName } = this.options;
      using operation = new Operation(clock, "release", {}, STOP_CALL_MS);
      const call = { timeoutMs: STOP_CALL_MS, signal: operation.signal };
      const outcome = await operation.race(store.release(rowName, held, call));
      return outcome === "released" ? held : null;
    } catch (error) {
      this.options.logger.warn("lease not released: it ends by itself", {
        error: messageOf(error),
      });
      return null;
    } finally {
      // Told only now: who heard of it before the commit would find the row still held.
      this.#lose("stopping");
    }
  }

  async #run(): Promise<void> {
    while (!this.#stopping && !this.#over) {
      this.#iterations++;
      const step = decider.nextStep(this.#state, this.#now(), this.#lagMs);
      if (step.kind === "wait") await this.#sleepUntil(step.until);
      else if (step.kind === "read") await this.#contend();
      else if (step.kind === "renew") await this.#renew(step.token);
      else this.#lose("not renewed in time");
    }
  }

  async #contend(): Promise<void> {
    const kicks = this.#kicks;
    const freed = this.#freed;
    this.#freed = null;
    let failure: HedgerowError | null = null;
    try {
      const claim = freed === null ? await this.#look() : decider.claimFreed(freed);
      if (claim !== null && !this.#stopping && (await this.#takeOver(claim))) return;
      if (freed !== null) this.#lookNow();
    } catch (error) {
      failure = HedgerowError.from(error);
      this.#report("contend", failure);
      this.#postpone();
    }
    // What was seen may be older than the news that came meanwhile.
    if (kicks !== this.#kicks) this.#lookNow();
    this.options.onMiss?.(failure);
  }

  /** Reads the row: what may be claimed of it, or null and the moment of the next look. */
  async #look(): Promise<decider.Claim | null> {
    const { store, rowName, timing, onRow } = this.options;
    const row = await this.#call("read", timing.leaseMs, (call) => store.read(rowName, call));
    if (row !== null) onRow?.(row);
    this.#failures = 0;
    if (this.#state.kind !== "contending") return null;
    const judged = decider.judgeRow(this.#state, row, this.#now(), timing);
    this.#state = judged.state;
    return judged.claim;
  }

  async #takeOver(claim: decider.Claim): Promise<boolean> {
    const { store, rowName, writer, timing, onRow } = this.options;
    const takeOver = { name: rowName, writer, leaseMs: timing.leaseMs, ...claim };
    const sentAt = this.#now();
    const result = await this.#call("acquire", timing.leaseMs, (call) =>
      store.acquire(takeOver, call),
    );
    if (result.kind === "acquired") {
      this.#renewedAt = sentAt;
      this.#gain(decider.acquired(result.token, sentAt, timing));
      return true;
    }
    if (result.row !== null) onRow?.(result.row);
    this.#postpone();
    return false;
  }

  async #renew(token: number): Promise<void> {
    const { store, rowName, timing } = this.options;
    const sentAt = this.#now();
    try {
      const outcome = await this.#call("renew", timing.renewTimeoutMs, (call) =>
        store.renew(rowName, token, call),
      );
      if (this.#state.kind !== "leading") return;
      // That the database compares the token is a fence too: the control does without.
      if (outcome === "lost" && this.options.fenced) {
        this.#lose("the lock's row carries another token");
        return;
      }
      this.#failures = 0;
      this.#figures.renewals++;
      this.#renewedAt = sentAt;
      this.#state = decider.renewed(this.#state, sentAt, this.#now(), timing);
    } catch (error) {
      this.#report("renew", HedgerowError.from(error));
      if (this.#state.kind !== "leading") return;
      // Never longer: as many attempts as fit in before the deadline.
      const { runtime } = this.options;
      const pauseMs = backoffMs(runtime.random, 0, timing.retryMs, timing.retryMs);
      this.#state = decider.renewalFailed(this.#state, this.#now(), pauseMs);
    }
  }

  #gain(state: decider.Leading): void {
    this.#state = state;
    // A reply that came too late leaves a lease that is already over: nextStep says so.
    if (this.#stopping || this.#now() >= state.deadline) return;
    this.#toldToken = state.token;
    this.#figures.gains++;
    this.#tell(true, state.token, "taken over");
  }

  #lose(why: string): void {
    if (this.#state.kind === "leading") this.#state = decider.contendFrom(this.#now());
    const token = this.#toldToken;
    if (token === null) return;
    this.#toldToken = null;
    this.#figures.losses++;
    this.#over = this.options.once === true;
    this.#tell(false, token, why);
  }

  #tell(holds: boolean, token: number, why: string): void {
    try {
      this.options.onChange(holds, token, why);
    } catch (error) {
      this.options.logger.error("lease callback failed", { error: messageOf(error) });
    }
  }

  #lookNow(): void {
    if (this.#state.kind !== "contending") return;
    this.#state = decider.refused(this.#state, this.#now(), -this.#lagMs);
  }

  #postpone(): void {
    if (this.#state.kind !== "contending") return;
    this.#state = decider.refused(this.#state, this.#now(), this.#pauseMs());
  }

  /** Grows with failures in a row; a contender that was merely slower waits about one `retryMs`. */
  #pauseMs(): number {
    const { runtime, timing } = this.options;
    return backoffMs(runtime.random, this.#failures, timing.retryMs, timing.leaseMs / 6);
  }

  #report(call: string, { code, message }: HedgerowError): void {
    this.#failures++;
    this.#figures.failures++;
    if (this.#stopping) return;
    const fields = { lock: this.options.rowName, call, code, error: message };
    this.#warner.warn(`${call} ${code}`, "lock call failed", fields);
  }

  /** One call to the store that surely ends: by its time-out, or at the deadline of the lease. */
  async #call<T>(
    what: string,
    timeoutMs: number,
    work: (call: { timeoutMs: number; signal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const untilDeadline =
      this.#state.kind === "leading" ? this.#state.deadline - this.#now() : timeoutMs;
    const boundMs = Math.max(1, Math.min(timeoutMs, untilDeadline));
    const { clock } = this.options.runtime;
    using operation = new Operation(clock, what, {}, boundMs, this.#stopped.signal);
    return await operation.race(work({ timeoutMs: boundMs, signal: operation.signal }));
  }

  #sleepUntil(until: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#timer?.cancel();
        this.#timer = null;
        this.#wake = null;
        resolve();
      };
      this.#wake = wake;
      this.#timer = this.options.runtime.clock.schedule(until - this.#now(), wake);
    });
  }

  #now(): number {
    return this.options.runtime.clock.now();
  }
}
