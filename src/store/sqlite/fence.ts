import type { Statement } from "bun:sqlite";
import { fenced } from "../calls.ts";
import type { Fence } from "../ports.ts";
import type { Connection } from "./connection.ts";

/** Reads the lock's token inside of the caller's transaction. */
export class FenceCheck {
  readonly #token: Statement<{ token: number | null }, [string]>;

  constructor(connection: Connection, lockTable: string) {
    this.#token = connection.prepare(`SELECT token FROM "${lockTable}" WHERE name = ?`);
  }

  /** null for a lock without a row, and for a row without a token. */
  token(lockRow: string): number | null {
    return this.#token.get(lockRow)?.token ?? null;
  }

  /** Throws `fenced` unless the lock's token is the fence's. */
  check(fence: Fence): void {
    if (this.token(fence.name) !== fence.token) throw fenced(fence.name);
  }
}
