import type { Statement } from "bun:sqlite";
import type { CallOptions } from "../../runtime/runtime.ts";
import { checkClaim, checkTakeOver } from "../check.ts";
import { DEFAULT_TIMEOUT_MS } from "../calls.ts";
import { mayTakeOver, soundAge, soundLease, soundToken } from "../judge.ts";
import { checkLockRow } from "../limits.ts";
import type { LockRow, LockStore, TakeOver, TakeOverResult } from "../ports.ts";
import type { Connection } from "./connection.ts";
import { Tokens } from "./tokens.ts";

interface Row {
  /** Microseconds on the clock of `boot`; 0 once released. */
  readonly heartbeat: number | null;
  readonly boot: string | null;
  readonly token: number | null;
  readonly writer: string | null;
  /** Milliseconds. */
  readonly lease: number | null;
}

const RELEASED = 0;

/**
 * Take-overs, renewals and releases do not wait for the disk: all holders and contenders are processes of one
 * machine, and what it may forget when its power fails is who of them held what, which is over with the boot.
 * Tokens alone outlive it (tokens.ts).
 */
export class SqliteLockStore implements LockStore {
  readonly #read: Statement<Row, [string]>;
  readonly #take: Statement<unknown, [string, number, string, number, string, number]>;
  readonly #beat: Statement<unknown, [number, string, string, number]>;
  readonly #tokens: Tokens;

  constructor(
    private readonly connection: Connection,
    lockTable: string,
  ) {
    this.#read = connection.prepare(
      `SELECT heartbeat, boot, token, writer, lease FROM "${lockTable}" WHERE name = ?`,
    );
    this.#take = connection.prepare(
      `INSERT INTO "${lockTable}" (name, heartbeat, boot, token, writer, lease)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET heartbeat = excluded.heartbeat, boot = excluded.boot,
         token = excluded.token, writer = excluded.writer, lease = excluded.lease`,
    );
    this.#beat = connection.prepare(
      `UPDATE "${lockTable}" SET heartbeat = ?, boot = ? WHERE name = ? AND token = ?`,
    );
    this.#tokens = new Tokens(connection);
  }

  async read(name: string, options: CallOptions = {}): Promise<LockRow | null> {
    checkLockRow(name);
    return this.connection.read("read the lock", options, () => this.#lockRow(name));
  }

  async acquire(takeOver: TakeOver, options: CallOptions = {}): Promise<TakeOverResult> {
    checkTakeOver(takeOver);
    const { clock } = this.connection.runtime;
    const deadline = clock.now() + (options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const take = (durable: boolean) => {
      const call = { ...options, timeoutMs: deadline - clock.now() };
      const work = () => this.#takeOver(takeOver, durable);
      return this.connection.write("take the lock", call, work, durable);
    };
    // The second never gives null.
    return (await take(false)) ?? ((await take(true)) as TakeOverResult);
  }

  /** null if it has to be done durably, see Tokens. */
  #takeOver(takeOver: TakeOver, durable: boolean): TakeOverResult | null {
    const row = this.#lockRow(takeOver.name);
    if (!mayTakeOver(row, takeOver)) return { kind: "refused", row };
    const token = this.#tokens.next(row?.token ?? 0, durable);
    if (token === null) return null;
    const { bootId } = this.connection.runtime.clock;
    const { name, writer, leaseMs } = takeOver;
    this.#take.run(name, this.#nowMicros(), bootId, token, writer, Math.round(leaseMs));
    return { kind: "acquired", token };
  }

  async renew(name: string, token: number, options: CallOptions = {}): Promise<"renewed" | "lost"> {
    checkClaim(name, token);
    const work = () => this.#setHeartbeat(name, token, this.#nowMicros());
    const renewed = await this.connection.write("renew the lock", options, work, false);
    return renewed ? "renewed" : "lost";
  }

  async release(
    name: string,
    token: number,
    options: CallOptions = {},
  ): Promise<"released" | "lost"> {
    checkClaim(name, token);
    const work = () => this.#setHeartbeat(name, token, RELEASED);
    const released = await this.connection.write("release the lock", options, work, false);
    return released ? "released" : "lost";
  }

  #setHeartbeat(name: string, token: number, heartbeat: number): boolean {
    const { bootId } = this.connection.runtime.clock;
    return this.#beat.run(heartbeat, bootId, name, token).changes === 1;
  }

  #lockRow(name: string): LockRow | null {
    const row = this.#read.get(name);
    if (row === null) return null;
    const token = soundToken(row.token);
    return {
      token,
      writer: row.writer ?? "",
      beat: `${row.boot}/${row.heartbeat}/${token}`,
      ageMs: this.#ageMs(row),
      leaseMs: soundLease(row.lease),
    };
  }

  #ageMs({ heartbeat, boot }: Row): number | null {
    if (heartbeat === RELEASED) return Number.POSITIVE_INFINITY;
    if (heartbeat === null || boot !== this.connection.runtime.clock.bootId) return null;
    // From the future: a container with a boot clock of its own wrote it.
    return soundAge((this.#nowMicros() - heartbeat) / 1e3);
  }

  #nowMicros(): number {
    return Math.floor(this.connection.runtime.clock.now() * 1e3);
  }
}
