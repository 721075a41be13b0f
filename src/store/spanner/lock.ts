import type { CallOptions } from "../../runtime/runtime.ts";
import { checkClaim, checkTakeOver } from "../check.ts";
import { mayTakeOver } from "../judge.ts";
import { checkLockRow } from "../limits.ts";
import { markerName } from "../markers.ts";
import type { LockRow, LockStore, TakeOver, TakeOverResult } from "../ports.ts";
import type { Value } from "./api.ts";
import type { Connection } from "./connection.ts";
import { nothing, readToken } from "./fence.ts";
import { lockRow, lockRowQuery, oldMarkers } from "./lock-row.ts";
import {
  COMMIT_TIMESTAMP,
  deleteRows,
  insertOrUpdate,
  key,
  RELEASED,
  text,
  update,
} from "./values.ts";

export class SpannerLockStore implements LockStore {
  constructor(
    private readonly connection: Connection,
    private readonly lockTable: string,
  ) {}

  async read(name: string, options: CallOptions = {}): Promise<LockRow | null> {
    checkLockRow(name);
    const query = lockRowQuery(this.lockTable, name);
    return lockRow(name, await this.connection.query("read the lock", options, query));
  }

  async acquire(takeOver: TakeOver, options: CallOptions = {}): Promise<TakeOverResult> {
    checkTakeOver(takeOver);
    const { name, writer, leaseMs, expectedToken } = takeOver;
    const marker = markerName(name, expectedToken);
    return this.connection.readWrite<TakeOverResult>(
      "take the lock",
      options,
      async (transaction) => {
        const rows = await transaction.query(lockRowQuery(this.lockTable, name));
        const row = lockRow(name, rows);
        if (!mayTakeOver(row, takeOver)) return nothing(() => ({ kind: "refused", row }));
        const old = oldMarkers(name, rows, leaseMs, marker);
        return {
          mutations: [
            deleteRows(this.lockTable, { keys: old.map((oldMarker) => key(oldMarker)) }),
            insertOrUpdate(this.lockTable, { name: text(marker), heartbeat: COMMIT_TIMESTAMP }),
            insertOrUpdate(this.lockTable, {
              name: text(name),
              heartbeat: COMMIT_TIMESTAMP,
              token: COMMIT_TIMESTAMP,
              writer: text(writer),
            }),
          ],
          result: (token) => ({ kind: "acquired", token }),
        };
      },
    );
  }

  async renew(name: string, token: number, options: CallOptions = {}): Promise<"renewed" | "lost"> {
    const renewed = await this.#setHeartbeat("renew", name, token, COMMIT_TIMESTAMP, options);
    return renewed ? "renewed" : "lost";
  }

  async release(
    name: string,
    token: number,
    options: CallOptions = {},
  ): Promise<"released" | "lost"> {
    const released = await this.#setHeartbeat("release", name, token, RELEASED, options);
    return released ? "released" : "lost";
  }

  /** Writes `heartbeat` alone where the token is `token`; tells whether it was. */
  async #setHeartbeat(
    what: string,
    name: string,
    token: number,
    heartbeat: Value,
    options: CallOptions,
  ): Promise<boolean> {
    checkClaim(name, token);
    return this.connection.readWrite(what, options, async (transaction) => {
      const found = await readToken(transaction, this.lockTable, name);
      if (found !== token) return nothing(() => false);
      return {
        mutations: [update(this.lockTable, { name: text(name), heartbeat })],
        result: () => true,
      };
    });
  }
}
