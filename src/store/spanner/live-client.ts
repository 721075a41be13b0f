import type { Channel as GrpcChannel, Client } from "@grpc/grpc-js";
import { HedgerowError } from "../../errors.ts";
import type { Operation } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { SpannerClient } from "./client.ts";
import { Grpc, grpcCode, unreachable } from "./errors.ts";

/**
 * A connection on which a call has got no answer for so long, in milliseconds, nor any other call, is given up;
 * the next one after twice as long. gRPC leaves those that never came about to the kernel, which keeps them
 * for up to 15 minutes: they must not become many.
 */
const SILENT_MS = { first: 1_500, longest: 30_000 };
/** A call waits no longer for a connection, in milliseconds, unless it is the first one. */
const CONNECT_MS = 1_000;

type Channel = Pick<GrpcChannel, "getConnectivityState" | "watchConnectivityState">;

/** Of a channel, as gRPC counts them. */
const State = { IDLE: 0, CONNECTING: 1, READY: 2 } as const;

/** A client while it is lent to calls. */
export interface Lent {
  readonly client: SpannerClient;
  calls: number;
}

/**
 * The client that calls are made with. Where its connection has gone silent, as when a device on the way has
 * forgotten it, another client takes its place: gRPC's keepalive would find out after 15 s, and a connection
 * that does not come about would be waited for without end.
 */
export class LiveClient {
  #current: Lent;
  /** When the first of the calls began of which none has been answered; null while there is none. */
  #unansweredSince: number | null = null;
  #silentMs = SILENT_MS.first;
  #wasConnected = false;
  #replacing: Promise<void> | null = null;

  constructor(
    client: SpannerClient,
    /** Makes the next one; null: there is none. */
    private readonly another: ((former: SpannerClient) => Promise<SpannerClient>) | null,
    private readonly database: string,
    private readonly clock: Clock,
  ) {
    this.#current = { client, calls: 0 };
  }

  /** For a last call before `close`. */
  get current(): SpannerClient {
    return this.#current.client;
  }

  /** Lends a client to one call. Throws `unavailable` if there is no connection. Must be given back. */
  async take(operation: Operation): Promise<Lent> {
    if (this.#isSilent()) {
      this.#replacing ??= this.#replace().finally(() => (this.#replacing = null));
    }
    if (this.#replacing !== null) await operation.race(this.#replacing);
    const lent = this.#current;
    lent.calls++;
    this.#unansweredSince ??= this.clock.now();
    try {
      const stub = (await lent.client.initialize()) as unknown as Client;
      await this.#connect(stub.getChannel(), operation);
      return lent;
    } catch (error) {
      this.#leave(lent);
      throw error;
    }
  }

  /** `error`: how the call ended, null if well. */
  giveBack(lent: Lent, error: unknown): void {
    if (isAnswer(error)) this.heard(lent.client);
    this.#leave(lent);
  }

  /** Something has come back on a client's connection: it is not silent. */
  heard(client: SpannerClient): void {
    if (client !== this.#current.client) return;
    this.#unansweredSince = null;
    this.#silentMs = SILENT_MS.first;
  }

  /** Lends a client for the time of one call. Throws as `take` and the call do. */
  async use<T>(operation: Operation, call: (client: SpannerClient) => Promise<T>): Promise<T> {
    const lent = await this.take(operation);
    try {
      const answer = await call(lent.client);
      this.giveBack(lent, null);
      return answer;
    } catch (error) {
      this.giveBack(lent, error);
      throw error;
    }
  }

  /** Calls under way end as they end. */
  async close(): Promise<void> {
    await this.#replacing?.catch(() => {}); // whoever asked for it was told
    await this.#current.client.close();
  }

  #isSilent(): boolean {
    const since = this.#unansweredSince;
    return this.another !== null && since !== null && this.clock.now() - since >= this.#silentMs;
  }

  async #replace(): Promise<void> {
    const former = this.#current;
    const client = await this.another?.(former.client);
    if (client === undefined) return;
    this.#current = { client, calls: 0 };
    this.#unansweredSince = null;
    this.#silentMs = Math.min(2 * this.#silentMs, SILENT_MS.longest);
    if (former.calls === 0) await former.client.close();
  }

  /** A former client is closed with its last call. */
  #leave(lent: Lent): void {
    lent.calls--;
    if (lent !== this.#current && lent.calls === 0) void lent.client.close();
  }

  /** Resolves at once where there is a connection, or where it is known that there can be none: the call says why. */
  async #connect(channel: Channel, operation: Operation): Promise<void> {
    const boundMs = this.#wasConnected
      ? Math.min(CONNECT_MS, operation.remainingMs())
      : operation.remainingMs();
    const deadline = this.clock.now() + boundMs;
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === State.READY) this.#wasConnected = true;
      if (state !== State.IDLE && state !== State.CONNECTING) return;
      const remainingMs = deadline - this.clock.now();
      if (remainingMs <= 0) throw this.#unreachable(operation.what);
      await operation.race(this.#changed(channel, state, remainingMs));
    }
  }

  /** Resolves when the channel's state is another, or the time is over. */
  #changed(channel: Channel, state: number, ms: number): Promise<void> {
    const wallMs = this.clock.wallMicros() / 1_000 + ms;
    return new Promise((resolve) => {
      channel.watchConnectivityState(state, wallMs, () => resolve());
    });
  }

  #unreachable(what: string): HedgerowError {
    return new HedgerowError("unavailable", `${what}: ${unreachable(this.database)}`);
  }
}

/** Whether something has come back: a refusal is an answer, too. */
function isAnswer(error: unknown): boolean {
  if (error === null) return true;
  const code = grpcCode(error);
  return code !== null && code !== Grpc.DEADLINE_EXCEEDED && code !== Grpc.CANCELLED;
}
