import { HedgerowError } from "../errors.ts";
import type { Clock, Timer } from "../runtime/runtime.ts";

/** What of replies to unary calls may wait in memory for clients to take it, in bytes. */
export interface UnsentLimits {
  readonly connectionBytes: number;
  /** Of all connections together. */
  readonly totalBytes: number;
}

export const DEFAULT_UNSENT_LIMITS: UnsentLimits = {
  connectionBytes: 32 * 1024 * 1024,
  totalBytes: 128 * 1024 * 1024,
};

/** Milliseconds between two looks at who takes what waits for them. */
export const LOOK_EVERY_MS = 1_000;

/** Who takes fewer bytes between two looks, and at so many looks in a row, takes nothing: their replies are cut off. */
interface Patience {
  readonly bytes: number;
  readonly looks: number;
}

/** Less than that is what keeps a connection, but no reply. */
const PATIENCE: Patience = { bytes: 1024, looks: 30 };
/** While others wait for the room. */
const IN_THE_WAY: Patience = { bytes: 16 * 1024, looks: 4 };
/** What was done already is answered up to so many times the limits. */
const DONE_SHARE = 2;

/** A reply that waits. */
export interface Waiting {
  /** Ends it, and what goes with it: its client takes nothing. */
  cut(): void;
}

/** A call that waits until there is room for what it may reply. */
export interface Waiter {
  readonly bytes: number;
  admit(): void;
}

export interface ClientConnectionOptions {
  /** Bytes that went through it. Default: `takenBytes`. */
  readonly bytesTaken?: () => number;
  /** Called whenever nothing is under way any more. */
  readonly onIdle?: () => void;
}

/** What one client's connection has under way. Made by `UnsentReplies`, which alone changes it. */
export class ClientConnection {
  unsent = 0;
  reserved = 0;
  readonly replies = new Set<Waiting>();
  readonly waiters = new Set<Waiter>();
  /** Of replies, where nobody knows it better. */
  takenBytes = 0;
  takenBefore = 0;
  stalledLooks = 0;

  constructor(private readonly options: ClientConnectionOptions = {}) {}

  /** What its client has taken so far, as far as is known. */
  get bytesTaken(): number {
    return this.options.bytesTaken?.() ?? this.takenBytes;
  }

  idle(): void {
    this.options.onIdle?.();
  }
}

/**
 * The replies to unary calls that wait for their clients to take them, of all listeners for clients. Streams hold back
 * what makes their messages; a unary reply is there at once, as large as it is, and a client may ask for thousands and
 * read none. So calls that may have large replies reserve room before they are begun, and wait for it; what was done
 * cannot wait, and is refused only far beyond the limits; and who takes nothing at all is cut off (as NATS does with
 * slow consumers, and nginx by send_timeout).
 */
export class UnsentReplies {
  #unsent = 0;
  #reserved = 0;
  readonly #sending = new Set<ClientConnection>();
  readonly #waiting = new Set<ClientConnection>();
  #look: Timer | null = null;
  #stopped = false;

  constructor(
    readonly clock: Clock,
    private readonly limits: UnsentLimits = DEFAULT_UNSENT_LIMITS,
  ) {}

  /** Throws `overloaded` where so much waits that nothing more is begun whose reply cannot be foreseen. */
  checkRoom({ unsent }: ClientConnection): void {
    const { connectionBytes, totalBytes } = this.limits;
    if (unsent >= connectionBytes || this.#unsent >= totalBytes) throw noRoom();
  }

  /** Whether it got room at once. */
  tryReserve(connection: ClientConnection, bytes: number): boolean {
    if (connection.waiters.size > 0 || !this.#fits(connection, bytes)) return false;
    this.#reserve(connection, bytes);
    return true;
  }

  /** Calls `admit` once it has room, after those of the same connection that came before. */
  wait(connection: ClientConnection, waiter: Waiter): void {
    connection.waiters.add(waiter);
    this.#waiting.add(connection);
  }

  leave(connection: ClientConnection, waiter: Waiter): void {
    connection.waiters.delete(waiter);
    this.#admit();
  }

  /** Throws `outcome_unknown` where what was done already cannot be answered. */
  checkDone({ unsent }: ClientConnection, bytes: number): void {
    const connectionBytes = DONE_SHARE * this.limits.connectionBytes;
    const totalBytes = DONE_SHARE * this.limits.totalBytes;
    if (this.#unsent + bytes <= totalBytes && (unsent === 0 || unsent + bytes <= connectionBytes)) {
      return;
    }
    const message = `it was done, but its reply of ${bytes} bytes was dropped: read those that wait`;
    throw new HedgerowError("outcome_unknown", message);
  }

  /** What `reserved` stood for turns out to be `bytes`. */
  settle(connection: ClientConnection, reply: Waiting, reserved: number, bytes: number): void {
    connection.reserved -= reserved;
    this.#reserved -= reserved;
    connection.unsent += bytes;
    this.#unsent += bytes;
    if (connection.replies.size === 0) connection.stalledLooks = -1; // until the first look it may have had no time
    connection.replies.add(reply);
    this.#sending.add(connection);
    if (!this.#stopped) this.#look ??= this.#lookLater();
    if (reserved > bytes) this.#admit();
  }

  /** All of it was sent, or never will be. */
  release(connection: ClientConnection, reply: Waiting, reserved: number, bytes: number): void {
    connection.reserved -= reserved;
    this.#reserved -= reserved;
    connection.unsent -= bytes;
    this.#unsent -= bytes;
    connection.replies.delete(reply);
    if (connection.replies.size === 0) this.#sending.delete(connection);
    this.#admit();
    const { unsent, waiters } = connection;
    if (unsent + connection.reserved + waiters.size === 0) connection.idle();
  }

  /** Looks no more: those that are left are cut off with their connections. */
  stop(): void {
    this.#stopped = true;
    this.#look?.cancel();
  }

  /** One call may always be made: a reply can be larger than the limit. */
  #fits(connection: ClientConnection, bytes: number): boolean {
    return this.#fitsConnection(connection, bytes) && this.#fitsTotal(bytes);
  }

  #fitsConnection({ unsent, reserved }: ClientConnection, bytes: number): boolean {
    const used = unsent + reserved;
    return used === 0 || used + bytes <= this.limits.connectionBytes;
  }

  #fitsTotal(bytes: number): boolean {
    const used = this.#unsent + this.#reserved;
    return used === 0 || used + bytes <= this.limits.totalBytes;
  }

  #reserve(connection: ClientConnection, bytes: number): void {
    connection.reserved += bytes;
    this.#reserved += bytes;
  }

  /** One of each connection by turns, so that those who ask for much leave room to others. */
  #admit(): void {
    // Whoever had a turn is put behind the others, and comes again in the same loop.
    for (const connection of this.#waiting) {
      const [first] = connection.waiters;
      if (first !== undefined && !this.#fits(connection, first.bytes)) continue;
      this.#waiting.delete(connection);
      if (first === undefined) continue;
      connection.waiters.delete(first);
      this.#reserve(connection, first.bytes);
      first.admit();
      if (connection.waiters.size > 0) this.#waiting.add(connection);
    }
  }

  #lookLater(): Timer {
    return this.clock.schedule(LOOK_EVERY_MS, () => {
      const patience = this.#isWaitedFor() ? IN_THE_WAY : PATIENCE;
      for (const connection of this.#sending) this.#lookAt(connection, patience);
      this.#look = this.#sending.size > 0 ? this.#lookLater() : null;
    });
  }

  /** Looks are counted, not milliseconds: a process that was stopped has looked at nobody. */
  #lookAt(connection: ClientConnection, { bytes, looks }: Patience): void {
    const { bytesTaken, takenBefore } = connection;
    const isStalled = bytesTaken - takenBefore < bytes;
    connection.stalledLooks = isStalled ? connection.stalledLooks + 1 : 0;
    connection.takenBefore = bytesTaken;
    if (connection.stalledLooks < looks) return;
    for (const reply of connection.replies) reply.cut();
  }

  /** Whether some wait for what others leave unread. */
  #isWaitedFor(): boolean {
    for (const connection of this.#waiting) {
      const [first] = connection.waiters;
      if (first !== undefined && this.#fitsConnection(connection, first.bytes)) return true;
    }
    return false;
  }
}

export function noRoom(): HedgerowError {
  const message = "too many bytes of replies wait to be read: read them, then try again";
  return new HedgerowError("overloaded", message);
}
