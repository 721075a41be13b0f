import { HedgerowError } from "../errors.ts";
import type { Clock, Timer } from "../runtime/runtime.ts";
import type { Desk } from "./desk.ts";
import type { PermitRef } from "./line.ts";
import type { PermitTiming } from "./timing.ts";

/** Of all processes and semaphores together; more are turned away. */
const MAX_PLACES = 50_000;

interface Place {
  readonly desk: Desk;
  readonly permit: PermitRef;
}

/** What is told to a process that waits: its grants that have their permits, and those that stand in no line. */
export interface Told {
  readonly acquired: readonly string[];
  readonly unknown: readonly string[];
  /** The permits count as heard of no sooner than this, by the leader's clock. */
  readonly at: number;
}

/** The places that one process has in lines: they stay while it asks for news of them. */
class Waiter {
  /** By grant: those that wait, and those with permits of which it was not told. */
  readonly places = new Map<string, Place>();
  /** Answers the request that is under way. */
  poll: (() => void) | null = null;
  lapse: Timer | null = null;
}

/** Who waits at this leader, process by process: each hears of all its grants through one request. */
export class Places {
  readonly #waiters = new Map<string, Waiter>();
  #count = 0;
  #ended = false;

  constructor(
    private readonly clock: Clock,
    private readonly timing: PermitTiming,
  ) {}

  /** Throws `overloaded` where there is no room for another place. */
  checkRoom(): void {
    if (this.#count < MAX_PLACES) return;
    const message = `semaphores: ${MAX_PLACES} wait already: try again later`;
    throw new HedgerowError("overloaded", message, { retryDelayMs: 100 });
  }

  add(process: string, desk: Desk, permit: PermitRef): void {
    const waiter = this.#waiters.get(process) ?? new Waiter();
    this.#waiters.set(process, waiter);
    if (!waiter.places.has(permit.grant)) this.#count++;
    waiter.places.set(permit.grant, { desk, permit });
    this.#mayLapse(process, waiter);
  }

  /** It has what it wanted, or wants it no more. */
  delete(process: string, grant: string): void {
    const waiter = this.#waiters.get(process);
    if (waiter?.places.delete(grant)) this.#count--;
    if (waiter !== undefined && waiter.poll === null) this.#forgetIfEmpty(process, waiter);
  }

  /** There is news for the process. */
  tell(process: string): void {
    this.#waiters.get(process)?.poll?.();
  }

  /**
   * Resolves as soon as there is something to tell of one of the grants or of the process's others, or after
   * `waitMs`, or once it asks again, or when `signal` aborts.
   */
  async poll(
    process: string,
    grants: readonly string[],
    waitMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Told> {
    const waiter = this.#waiters.get(process) ?? new Waiter();
    this.#waiters.set(process, waiter);
    waiter.lapse?.cancel();
    waiter.lapse = null;
    waiter.poll?.();
    const told = this.#take(waiter, grants);
    if (told.acquired.length + told.unknown.length > 0) {
      this.#mayLapse(process, waiter);
      return told;
    }
    await new Promise<void>((resolve) => {
      const end = () => {
        timer.cancel();
        signal?.removeEventListener("abort", end);
        if (waiter.poll === end) waiter.poll = null;
        resolve();
      };
      const timer = this.clock.schedule(waitMs, end);
      waiter.poll = end;
      signal?.addEventListener("abort", end, { once: true });
      if (signal?.aborted) end();
    });
    // A later request of it is under way.
    if (waiter.poll !== null) return { acquired: [], unknown: [], at: this.clock.now() };
    const news = this.#take(waiter, grants);
    this.#mayLapse(process, waiter);
    return news;
  }

  /** Answers all requests; nobody has a place any more. */
  end(): void {
    this.#ended = true;
    for (const waiter of this.#waiters.values()) {
      waiter.lapse?.cancel();
      waiter.poll?.();
    }
    this.#waiters.clear();
  }

  /** What there is to tell; what is told so has no place any more. */
  #take(waiter: Waiter, grants: readonly string[]): Told {
    const at = this.clock.now();
    const acquired: string[] = [];
    const unknown = grants.filter((grant) => !waiter.places.has(grant));
    for (const [grant, { desk, permit }] of waiter.places) {
      const found = desk.find(permit);
      if (found === false) continue;
      waiter.places.delete(grant);
      this.#count--;
      if (found === true && desk.confirm(permit)) acquired.push(grant);
      else unknown.push(grant);
    }
    return { acquired, unknown, at };
  }

  /** Unless it asks again in time, its places go. */
  #mayLapse(process: string, waiter: Waiter): void {
    if (this.#ended || waiter.poll !== null || this.#forgetIfEmpty(process, waiter)) return;
    waiter.lapse?.cancel();
    waiter.lapse = this.clock.schedule(this.timing.keepPlaceMs, () => {
      this.#waiters.delete(process);
      this.#count -= waiter.places.size;
      for (const { desk, permit } of waiter.places.values()) desk.lapse(permit);
    });
  }

  #forgetIfEmpty(process: string, waiter: Waiter): boolean {
    if (waiter.places.size > 0) return false;
    waiter.lapse?.cancel();
    if (this.#waiters.get(process) === waiter) this.#waiters.delete(process);
    return true;
  }
}
