import type { Operation } from "../../runtime/operation.ts";
import type { LiveClient } from "./live-client.ts";

/** Of one client; as many calls may be under way at once. A connection to Spanner carries 100. */
const MAX_SESSIONS = 64;
const DELETE_TIMEOUT_MS = 1_000;

/**
 * Spanner's sessions, each lent to one call at a time: a session has one transaction at most. Made when
 * none is free, kept until the client closes.
 */
export class Sessions {
  readonly #idle: string[] = [];
  readonly #waiting: (() => void)[] = [];
  #lent = 0;

  constructor(
    private readonly clients: LiveClient,
    private readonly database: string,
  ) {}

  /** Lends a free session, a new one, or the first that becomes free. Must be given back or dropped. */
  async take(operation: Operation): Promise<string> {
    if (this.#lent < MAX_SESSIONS) this.#lent++;
    else await this.#turn(operation);
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    try {
      return await operation.race(this.#create(operation));
    } catch (error) {
      this.#returned();
      throw error;
    }
  }

  giveBack(session: string): void {
    this.#idle.push(session);
    this.#returned();
  }

  /** Gives up a session whose state is not known: Spanner deletes it once it was idle for an hour. */
  giveUp(): void {
    this.#returned();
  }

  /** Gives up a session that Spanner no longer has; those that are idle have most likely gone with it. */
  forgetAll(): void {
    this.#idle.length = 0;
    this.#returned();
  }

  async close(): Promise<void> {
    const { current: client } = this.clients;
    const call = { timeout: DELETE_TIMEOUT_MS, retry: null };
    const idle = this.#idle.splice(0);
    await Promise.allSettled(idle.map((name) => client.deleteSession({ name }, call)));
  }

  async #create(operation: Operation): Promise<string> {
    const lent = await this.clients.take(operation);
    const call = { timeout: Math.ceil(operation.remainingMs()), retry: null };
    const { database } = this;
    try {
      const [session] = await lent.client.createSession({ database }, call);
      this.clients.giveBack(lent, null);
      return session.name as string;
    } catch (error) {
      this.clients.giveBack(lent, error);
      throw error;
    }
  }

  /** Waits until a lent one is handed on: first come, first served. */
  async #turn(operation: Operation): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    try {
      await operation.race(promise);
    } catch (error) {
      const at = this.#waiting.indexOf(resolve);
      if (at >= 0) this.#waiting.splice(at, 1);
      // Its turn had come already: it is the next one's.
      else this.#returned();
      throw error;
    }
  }

  #returned(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#lent--;
    else next();
  }
}
