import type { Statement } from "bun:sqlite";
import type { CallOptions } from "../../runtime/runtime.ts";
import { checkClaim, checkTakeOver } from "../check.ts";
import { mayTakeOver, rising } from "../judge.ts";
import { checkLockRow } from "../limits.ts";
import type { LockRow, LockStore, TakeOver, TakeOverResult } from "../ports.ts";
import type { Connection } from "./connection.ts";
import { HighMark } from "./high-mark.ts";

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

export class SqliteLockStore implements LockStore {
  readonly #read: Statement<Row, [string]>;
  readonly #take: Statement<unknown, [string, number, string, number, string, number]>;
  readonly #beat: Statement<unknown, [number, string, string, number]>;
  /** The last token of any lock, so that tokens rise also if a row was deleted. */
  readonly #lastToken: HighMark;

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
    this.#lastToken = new HighMark(connection, "last_token");
  }

  async read(name: string, options: CallOptions = {}): Promise<LockRow | null> {
    checkLockRow(name);
    return this.connection.read("read the lock", options, () => this.#lockRow(name));
  }

  async acquire(takeOver: TakeOver, options: CallOptions = {}): Promise<TakeOverResult> {
    checkTakeOver(takeOver);
    return this.connection.write("take the lock", options, (): TakeOverResult => {
      const row = this.#lockRow(takeOver.name);
      if (!mayTakeOver(row, takeOver)) return { kind: "refused", row };
      const { clock } = this.connection.runtime;
      const last = Math.max(this.#lastToken.read(), row?.token ?? 0);
      const token = rising(clock.wallMicros(), last);
      this.#lastToken.raise(token);
      const { name, writer, leaseMs } = takeOver;
      this.#take.run(name, this.#nowMicros(), clock.bootId, token, writer, Math.round(leaseMs));
      return { kind: "acquired", token };
    });
  }

  async renew(name: string, token: number, options: CallOptions = {}): Promise<"renewed" | "lost"> {
    checkClaim(name, token);
    return this.connection.write("renew the lock", options, () =>
      this.#setHeartbeat(name, token, this.#nowMicros()) ? "renewed" : "lost",
    );
  }

  async release(
    name: string,
    token: number,
    options: CallOptions = {},
  ): Promise<"released" | "lost"> {
    checkClaim(name, token);
    return this.connection.write("release the lock", options, () =>
      this.#setHeartbeat(name, token, RELEASED) ? "released" : "lost",
    );
  }

  #setHeartbeat(name: string, token: number, heartbeat: number): boolean {
    const { bootId } = this.connection.runtime.clock;
    return this.#beat.run(heartbeat, bootId, name, token).changes === 1;
  }

  #lockRow(name: string): LockRow | null {
    const row = this.#read.get(name);
    if (row === null) return null;
    const token = row.token ?? 0;
    return {
      token,
      writer: row.writer ?? "",
      beat: `${row.boot}/${row.heartbeat}/${token}`,
      ageMs: this.#ageMs(row),
      leaseMs: row.lease,
    };
  }

  #ageMs({ heartbeat, boot }: Row): number | null {
    if (heartbeat === RELEASED) return Number.POSITIVE_INFINITY;
    if (heartbeat === null || boot !== this.connection.runtime.clock.bootId) return null;
    const ageMs = (this.#nowMicros() - heartbeat) / 1e3;
    // From the future: a container with a boot clock of its own wrote it.
    return ageMs < 0 ? null : ageMs;
  }

  #nowMicros(): number {
    return Math.floor(this.connection.runtime.clock.now() * 1e3);
  }
}
