import type { PeerRoute } from "../rpc/port.ts";
import type { Clock } from "../runtime/runtime.ts";

/** Counts the calls under way, so that a stop can wait for them. */
export class InFlight {
  #count = 0;
  #idle: (() => void) | null = null;

  get count(): number {
    return this.#count;
  }

  /** Passes the call's outcome on. */
  async track<T>(call: Promise<T>): Promise<T> {
    this.#count++;
    try {
      return await call;
    } finally {
      this.#leave();
    }
  }

  /** The same for what other nodes ask of a route. */
  route(route: PeerRoute): PeerRoute {
    return { ...route, handle: (request, call) => this.track(route.handle(request, call)) };
  }

  /** The same for replies that come one by one. */
  async *trackAll<T>(replies: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    this.#count++;
    try {
      yield* replies;
    } finally {
      this.#leave();
    }
  }

  /** Resolves when nothing is under way, at the latest after `boundMs` milliseconds. */
  drained(clock: Clock, boundMs: number): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const bound = clock.schedule(boundMs, resolve);
      this.#idle = () => {
        bound.cancel();
        resolve();
      };
    });
  }

  #leave(): void {
    this.#count--;
    if (this.#count === 0) this.#idle?.();
  }
}
