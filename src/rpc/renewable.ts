import type { Clock } from "../runtime/runtime.ts";
import { bind, type BindOptions, type Server } from "./bind.ts";

/** Milliseconds between two looks at a stop whether anything is under way. */
const LOOK_EVERY_MS = 20;

/** A server on one port whose certificate can be renewed while it runs. */
export class RenewableServer {
  readonly port: number;
  #current: Server | null;
  /** Servers that take no more connections, until their last call is done. */
  readonly #ending = new Map<Server, Promise<void>>();
  #stopped: Promise<void> | null = null;

  /** Throws as `bind` does. */
  constructor(private readonly options: BindOptions) {
    this.#current = bind(options);
    this.port = this.#current.port as number;
  }

  /**
   * Shows `tls` to connections made from now on. Calls on those that exist finish, then they are closed;
   * a connection that is just being made may be cut. Throws as binding does, should the port be lost
   * meanwhile: call it again.
   */
  renew(tls: Bun.TLSOptions): void {
    if (this.#stopped !== null) return;
    // Bun.serve cannot change its certificate. stop() closes the port before it returns, so it can be
    // bound anew at once. Clients come back to a port that was closed just now (session.ts).
    this.#retire();
    this.#current = bind({ ...this.options, port: this.port, tls });
  }

  /** Takes no more connections, lets calls finish for `graceMs` milliseconds, then cuts them off. Idempotent. */
  stop(clock: Clock, graceMs: number): Promise<void> {
    this.#stopped ??= this.#stop(clock, graceMs);
    return this.#stopped;
  }

  async #stop(clock: Clock, graceMs: number): Promise<void> {
    this.#retire();
    const ended = Promise.withResolvers<void>();
    // Bun waits for connections that have sent half of a request's head, too: nothing is under way there.
    const look = () => {
      const busy = [...this.#ending.keys()].some((server) => server.pendingRequests > 0);
      if (busy) looks = clock.schedule(LOOK_EVERY_MS, look);
      else ended.resolve();
    };
    let looks = clock.schedule(LOOK_EVERY_MS, look);
    const grace = clock.schedule(graceMs, () => ended.resolve());
    Promise.all(this.#ending.values()).then(() => ended.resolve(), ended.reject);
    await ended.promise;
    looks.cancel();
    grace.cancel();
    await Promise.all([...this.#ending.keys()].map((server) => server.stop(true)));
  }

  #retire(): void {
    const server = this.#current;
    if (server === null) return;
    this.#current = null;
    const ended = server.stop().then(() => void this.#ending.delete(server));
    this.#ending.set(server, ended);
  }
}
