import { HedgerowError } from "../../errors.ts";
import type { Operation } from "../../runtime/operation.ts";

/** Of one node, for all names. */
const MAX_WAITING = 10_000;

/** Lets one at a time go on for each name, first come, first served. */
export class Turns {
  /** By name: who has the turn, followed by those who wait for it. */
  readonly #lines = new Map<string, (() => void)[]>();
  #waiting = 0;

  /** Who has the turn counts, too. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Disposing what it gives passes the turn on. Throws `overloaded`, and the operation's end. */
  async take(name: string, operation: Operation): Promise<Disposable> {
    if (this.#waiting >= MAX_WAITING) {
      const message = `${MAX_WAITING} callers wait for locks on this node already: try again later`;
      throw new HedgerowError("overloaded", message);
    }
    const line = this.#lines.get(name) ?? [];
    this.#lines.set(name, line);
    const { promise, resolve } = Promise.withResolvers<void>();
    line.push(resolve);
    this.#waiting++;
    const leave = () => this.#leave(name, line, resolve);
    if (line[0] === resolve) resolve();
    try {
      await operation.race(promise);
    } catch (error) {
      leave();
      throw error;
    }
    return { [Symbol.dispose]: leave };
  }

  #leave(name: string, line: (() => void)[], resolve: () => void): void {
    const at = line.indexOf(resolve);
    if (at < 0) return;
    line.splice(at, 1);
    this.#waiting--;
    if (line.length === 0) this.#lines.delete(name);
    else if (at === 0) line[0]?.();
  }
}
