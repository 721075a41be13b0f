import { type ErrorCode, HedgerowError } from "../errors.ts";
import type { Clock } from "../runtime/runtime.ts";
import { Histogram } from "./histogram.ts";

/** Upper bounds of durations in seconds: from a commit on this machine's disk to a long wait for a lock. */
export const DURATION_BOUNDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
] as const;

/** How the calls of one kind ended, and how long they took, in seconds. */
export class CallCount {
  ok = 0;
  readonly errors = new Map<ErrorCode, number>();
  readonly durations = new Histogram(DURATION_BOUNDS);

  succeeded(ms: number): void {
    this.ok++;
    this.durations.observe(ms / 1e3);
  }

  failed(code: ErrorCode, ms: number): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
    this.durations.observe(ms / 1e3);
  }
}

/** Counts calls of a few kinds in plain numbers. */
export class CallCounts<Kind extends string> {
  readonly #counts: Readonly<Record<Kind, CallCount>>;

  constructor(
    private readonly clock: Clock,
    kinds: readonly Kind[],
  ) {
    const counts = kinds.map((kind) => [kind, new CallCount()]);
    this.#counts = Object.fromEntries(counts) as Record<Kind, CallCount>;
  }

  [Symbol.iterator](): Iterator<[Kind, CallCount]> {
    return (Object.entries(this.#counts) as [Kind, CallCount][])[Symbol.iterator]();
  }

  /** Passes the call's outcome on. */
  async track<T>(kind: Kind, call: () => Promise<T>): Promise<T> {
    const startedAt = this.clock.now();
    try {
      const result = await call();
      this.#counts[kind].succeeded(this.clock.now() - startedAt);
      return result;
    } catch (error) {
      this.#counts[kind].failed(HedgerowError.from(error).code, this.clock.now() - startedAt);
      throw error;
    }
  }

  /** The same for what comes one by one; whoever leaves before the end has had what he wanted. */
  async *trackAll<T>(kind: Kind, items: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    const startedAt = this.clock.now();
    let code: ErrorCode | null = null;
    try {
      yield* items;
    } catch (error) {
      ({ code } = HedgerowError.from(error));
      throw error;
    } finally {
      const ms = this.clock.now() - startedAt;
      if (code === null) this.#counts[kind].succeeded(ms);
      else this.#counts[kind].failed(code, ms);
    }
  }
}
