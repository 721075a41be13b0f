// The Go system's lock (spindle), statement by statement, to be paused between any two. Imports nothing of src.
import { grpcCodeOf, isAborted, type Parameters, type Sql } from "./sql.ts";

/** What an attempt has just done, in this order. What is not committed is seen by nobody, and is held open. */
export const GO_STEPS = [
  "checked the lock",
  "read the token",
  "inserted the marker",
  "committed the marker",
  "updated the row",
  "committed the row",
] as const;
export type GoStep = (typeof GO_STEPS)[number];

/** One attempt under way; its value is whether it took the lock over. */
export type GoAttempt = AsyncGenerator<GoStep, boolean, void>;

const ALREADY_EXISTS = 6;
/** A heartbeat that is late by this does not count as expired yet, in milliseconds. */
const DRIFT_MS = 1_000;

export interface GoContenderOptions {
  /** The lock's row, as in `hedge/spindle/lockname/demo`. */
  readonly name: string;
  /** `host:port` */
  readonly id: string;
  readonly leaseMs: number;
}

export class GoContender {
  /** Of its last take-over, as Go writes times; empty before the first. */
  token = "";

  constructor(
    private readonly sql: Sql,
    readonly options: GoContenderOptions,
  ) {}

  /** What it sees of the row: the token, and how old the heartbeat is; empty and 0 where there is no row. */
  async check(): Promise<{ token: string; diffMs: number }> {
    const [row] = await this.sql.query(
      "select timestamp_diff(current_timestamp(), heartbeat, millisecond) as diff, token from locktable where name = @name",
      { name: this.options.name },
    );
    return { diffMs: Number(row?.[0] ?? 0), token: tokenOf(row?.[1]) };
  }

  /** Who leads, by the row: what it connects to, and what it tells its callers. */
  async leader(): Promise<{ token: string; writer: string }> {
    const [row] = await this.sql.query("select token, writer from locktable where name = @name", {
      name: this.options.name,
    });
    return { token: tokenOf(row?.[0]), writer: row?.[1] ?? "" };
  }

  /** Whether it finds the lock held, by itself or another: then it does not contend. */
  async locked(): Promise<boolean> {
    const { token, diffMs } = await this.check();
    if (this.token !== "" && this.token === token) return true;
    return diffMs > 0 && diffMs <= this.options.leaseMs + DRIFT_MS;
  }

  /** The very first attempt of a process: whether there was no row, and it inserted one. */
  async insertFirst(): Promise<boolean> {
    const { name, id } = this.options;
    try {
      const commit = await this.sql.execute(
        `insert locktable (name, heartbeat, token, writer) values ('${name}',PENDING_COMMIT_TIMESTAMP(),PENDING_COMMIT_TIMESTAMP(),'${id}')`,
      );
      this.token = goTime(commit);
      return true;
    } catch (error) {
      if (grpcCodeOf(error) === ALREADY_EXISTS) return false;
      throw error;
    }
  }

  /** Every later attempt. Ask for its next step to let it go on; a step that gave way to another comes again. */
  async *attempt(): GoAttempt {
    const locked = await this.locked();
    yield "checked the lock";
    if (locked) return false;
    const { token } = await this.leader();
    yield "read the token";
    const { name, id } = this.options;
    const marker = `${name}_${goMarkerSuffix(token)}`;
    let commit: string;
    try {
      commit = yield* this.#transaction(
        "inserted the marker",
        `insert locktable (name) values ('${marker}')`,
      );
    } catch (error) {
      if (grpcCodeOf(error) === ALREADY_EXISTS) return false;
      throw error;
    }
    yield "committed the marker";
    yield* this.#transaction(
      "updated the row",
      "update locktable set heartbeat = PENDING_COMMIT_TIMESTAMP(), token = @token, writer = @writer where name = @name",
      { name, token: { timestamp: commit }, writer: id },
    );
    this.token = goTime(commit);
    yield "committed the row";
    return true;
  }

  /** Renews whatever row is there, and deletes all that looks like a marker to it. */
  async heartbeat(): Promise<void> {
    const { name } = this.options;
    await this.sql.readWrite(async (transaction) => {
      await transaction.execute(
        "update locktable set heartbeat = PENDING_COMMIT_TIMESTAMP() where name = @name",
        { name },
      );
      await transaction.execute(`delete from locktable where starts_with(name, '${name}_')`);
    });
  }

  /** Go's client runs the whole function again when its transaction gave way to another one. */
  async *#transaction(
    step: GoStep,
    statement: string,
    parameters: Parameters = {},
  ): AsyncGenerator<GoStep, string, void> {
    for (;;) {
      const transaction = await this.sql.transaction();
      try {
        await transaction.execute(statement, parameters);
        yield step;
        return await transaction.commit();
      } catch (error) {
        if (!isAborted(error)) throw error;
      }
    }
  }
}

/** Lets the attempt go on until it has done `step`. */
export async function goOnUntil(attempt: GoAttempt, step: GoStep): Promise<void> {
  for (;;) {
    const next = await attempt.next();
    if (next.done) throw new Error(`the attempt ended before it ${step}`);
    if (next.value === step) return;
  }
}

/** Lets the attempt go on to its end: whether it took the lock over. */
export async function finish(attempt: GoAttempt): Promise<boolean> {
  for (;;) {
    const next = await attempt.next();
    if (next.done) return next.value;
  }
}

/** Of no row nothing, of a row without a token Go's zero time. */
function tokenOf(column: string | null | undefined): string {
  if (column === undefined) return "";
  return column === null ? "0001-01-01T00:00:00Z" : goTime(column);
}

/** A timestamp of Spanner as Go's RFC3339Nano has it. */
export function goTime(timestamp: string): string {
  const [, seconds, fraction = ""] = /^([^.]*?)(?:\.(\d+))?Z$/.exec(timestamp) ?? [];
  const trimmed = fraction.replace(/0+$/, "");
  return `${seconds}${trimmed === "" ? "" : `.${trimmed}`}Z`;
}

/** What it appends to a lock's name for the marker of a token; empty for no row. */
export function goMarkerSuffix(token: string): string {
  return Bun.hash.xxHash64(token).toString();
}
