import { HedgerowError } from "../../errors.ts";
import type { Operation } from "../../runtime/operation.ts";
import type { LiveClient } from "./live-client.ts";
import { rpc } from "./rpc.ts";

/** Of one client; as many calls may be under way at once. A connection to Spanner carries 100. */
const MAX_SESSIONS = 64;
const MAX_WAITING = 10_000;
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
    const creating = this.#create(operation);
    try {
      return await operation.race(creating);
    } catch (error) {
      // One that comes after all is the next call's.
      creating.then(
        (session) => this.#idle.push(session),
        () => {}, // reported as the error, or too late for it
      );
      this.#returned();
      throw error;
    }
  }

  giveBack(session: string): void {
    this.#idle.push(session);
    this.#returned();
  }

  /** Gives up a session. One that Spanner may be at work on is left to it: it deletes what was idle for an hour. */
  giveUp(session: string, state: "doubtful" | "unknown"): void {
    if (state === "doubtful") void this.#delete(session);
    this.#returned();
  }

  /** Gives up a session that Spanner no longer has; those that are idle have most likely gone with it. */
  forgetAll(): void {
    this.#idle.length = 0;
    this.#returned();
  }

  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((session) => this.#delete(session)));
  }

  /** Where it fails, Spanner deletes it by itself, an hour later. */
  async #delete(name: string): Promise<void> {
    const call = { timeout: DELETE_TIMEOUT_MS, retry: null };
    await this.clients.current.deleteSession({ name }, call).catch(() => {});
  }

  #create(operation: Operation): Promise<string> {
    return this.clients.use(operation, async (client) => {
      const [session] = await client.createSession({ database: this.database }, rpc(operation));
      return session.name as string;
    });
  }

  /** Waits until a lent one is handed on: first come, first served. */
  async #turn(operation: Operation): Promise<void> {
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `${operation.what}: ${MAX_WAITING} calls to Spanner wait already: try again later`;
      throw new HedgerowError("overloaded", message, { retryDelayMs: 100 });
    }
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
