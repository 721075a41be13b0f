import type { Statement } from "bun:sqlite";
import { rising } from "../judge.ts";
import type { Connection } from "./connection.ts";
import { META_TABLE } from "./schema.ts";

/** How far ahead of a token the bound is set, in microseconds: at most one take-over in this time waits for the disk. */
const AHEAD_MICROS = 10_000_000;
const LAST = "last_token";
const BOUND = "token_bound/";

/**
 * The tokens of one file: each is greater than all before, also if rows were deleted, the wall clock was set
 * back, or the machine lost its power before a token was on the disk. For that a bound is on the disk which no
 * token of this boot exceeds; after another boot tokens begin above it.
 */
export class Tokens {
  readonly #read: Statement<{ name: string; value: number }, []>;
  readonly #write: Statement<unknown, [string, number]>;
  readonly #dropBounds: Statement<unknown, []>;

  constructor(private readonly connection: Connection) {
    const bounds = `name >= '${BOUND}' AND name < '${BOUND}~'`;
    this.#read = connection.prepare(
      `SELECT name, value FROM ${META_TABLE} WHERE name = '${LAST}' OR (${bounds})`,
    );
    this.#write = connection.prepare(
      `INSERT INTO ${META_TABLE} (name, value) VALUES (?, ?)
       ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
    );
    this.#dropBounds = connection.prepare(`DELETE FROM ${META_TABLE} WHERE ${bounds}`);
  }

  /**
   * Within a transaction: the token after `earlier` and all others. null if it would exceed the bound and the
   * transaction is not durable: nothing was written then.
   */
  next(earlier: number, durable: boolean): number | null {
    const { clock } = this.connection.runtime;
    const ownBound = `${BOUND}${clock.bootId}`;
    let last = earlier;
    let bound = 0;
    for (const { name, value } of this.#read.all()) {
      if (name === ownBound) bound = value;
      else last = Math.max(last, value);
    }
    const token = rising(clock.wallMicros(), last);
    if (token > bound) {
      if (!durable) return null;
      this.#dropBounds.run();
      this.#write.run(ownBound, token + AHEAD_MICROS);
    }
    this.#write.run(LAST, token);
    return token;
  }
}
