import type { Operation } from "../../runtime/operation.ts";
import type { SpannerClient } from "./client.ts";

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
    private readonly client: SpannerClient,
    private readonly database: string,
  ) {}

  /** Lends a free session, a new one, or the first that becomes free. Must be given back or dropped. */
  async take(operation: Operation): Promise<string> {
    while (this.#lent >= MAX_SESSIONS) {
      const free = Promise.withResolvers<void>();
      this.#waiting.push(free.resolve);
      try {
        await operation.race(free.promise);
      } catch (error) {
        this.#leave(free.resolve);
        throw error;
      }
    }
    this.#lent++;
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
    await Promise.allSettled(this.#idle.splice(0).map((session) => this.#delete(session)));
  }

  async #create(operation: Operation): Promise<string> {
    const call = { timeout: Math.ceil(operation.remainingMs()), retry: null };
    const [session] = await this.client.createSession({ database: this.database }, call);
    return session.name as string;
  }

  async #delete(session: string): Promise<void> {
    await this.client.deleteSession({ name: session }, { timeout: DELETE_TIMEOUT_MS, retry: null });
  }

  #returned(): void {
    this.#lent--;
    this.#waiting.shift()?.();
  }

  /** Somebody stopped waiting: if its turn had come already, it is the next one's. */
  #leave(resolve: () => void): void {
    const at = this.#waiting.indexOf(resolve);
    if (at >= 0) this.#waiting.splice(at, 1);
    else this.#waiting.shift()?.();
  }
}
