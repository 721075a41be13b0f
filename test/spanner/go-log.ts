// The Go system's log and semaphores (hedge), with its own statements. Imports nothing of src.
import { randomUUID } from "node:crypto";
import type { Parameters, Sql, SqlTransaction } from "./sql.ts";

/** A version as its callers get it. */
export interface GoVersion {
  readonly key: string;
  readonly value: string;
  readonly timestamp: string;
}

const DELETE_ON_EMPTY = "delete-on-empty";
const semaphore = (name: string) => `__hedge/semaphore/${name}`;
const caller = (address: string) => `__caller=${address}`;
const text = (stringValue: string) => ({ stringValue });

export class GoLog {
  constructor(
    private readonly sql: Sql,
    /** `host:port` of the node, which leads. */
    private readonly hostPort: string,
  ) {}

  /** Gives the commit timestamp. */
  put(key: string, value: string, { noAppend = false } = {}): Promise<string> {
    const id = noAppend ? "-" : randomUUID();
    const columns = ["id", "key", "value", "leader", "timestamp"];
    const values = [id, key, value, this.hostPort, "spanner.commit_timestamp()"].map(text);
    return this.sql.write({
      insertOrUpdate: { table: "logtable", columns, values: [{ values }] },
    });
  }

  /** Newest first: 0 the latest, n the newest n, -1 all, -2 the oldest. */
  async get(key: string, limit = 0): Promise<GoVersion[]> {
    const order =
      limit > 0
        ? `order by timestamp desc limit ${limit}`
        : limit === -1
          ? "order by timestamp desc"
          : limit === -2
            ? "order by timestamp limit 1"
            : "order by timestamp desc limit 1";
    const rows = await this.sql.query(
      `select key, value, timestamp from logtable where key = @key and timestamp is not null ${order}`,
      { key },
    );
    return rows.map((row) => {
      const [rowKey, value, timestamp] = noNulls(row);
      return { key: rowKey as string, value: value as string, timestamp: timestamp as string };
    });
  }

  async createSemaphore(name: string, limit: number, creator: string): Promise<void> {
    await this.sql.execute(
      `insert logtable (key, id, value, leader, timestamp) values ('${semaphore(name)}', 'limit=${limit}', '${creator}', '${this.hostPort}', PENDING_COMMIT_TIMESTAMP())`,
    );
  }

  /** Its limit and the value of its row; null if there is none. */
  async readSemaphore(name: string): Promise<{ limit: number; value: string } | null> {
    const [row] = await this.sql.query(
      "select key, id, value, leader, timestamp from logtable where key = @name",
      { name: semaphore(name) },
    );
    if (row === undefined) return null;
    const [, id, value] = noNulls(row);
    return { limit: Number(id?.split("=")[1]), value: value as string };
  }

  async acquire(name: string, address: string): Promise<"acquired" | "already acquired" | "full"> {
    const limit = (await this.readSemaphore(name))?.limit ?? 0;
    const own = await this.sql.query("select key, id from logtable where key = @key and id = @id", {
      key: caller(address),
      id: semaphore(name),
    });
    if (own.length > 0) return "already acquired";
    let full = false;
    await this.sql.readWrite(async (transaction) => {
      full = (await countPermits(transaction, name)) >= limit;
      if (full) return;
      await transaction.execute(
        `insert logtable (key, id, value, leader, timestamp) values ('${caller(address)}', '${semaphore(name)}', '${address}', '${this.hostPort}', PENDING_COMMIT_TIMESTAMP())`,
      );
      if ((await countPermits(transaction, name)) >= limit) {
        await transaction.execute("update logtable set value = @val where key = @name", {
          val: DELETE_ON_EMPTY,
          name: semaphore(name),
        });
      }
    });
    return full ? "full" : "acquired";
  }

  async release(name: string, address: string): Promise<void> {
    const value = (await this.readSemaphore(name))?.value;
    await this.sql.readWrite(async (transaction) => {
      await transaction.execute("delete from logtable where key = @key and id = @id", {
        key: caller(address),
        id: semaphore(name),
      });
      if ((await countPermits(transaction, name)) !== 0 || value !== DELETE_ON_EMPTY) return;
      await transaction.execute("delete from logtable where key = @key", { key: semaphore(name) });
    });
  }

  /** Addresses that its leader calls, to see whether the holders of permits live. */
  async holders(name: string): Promise<string[]> {
    const rows = await this.sql.query("select key from logtable where id = @id", {
      id: semaphore(name),
    });
    return rows.map((row) => noNulls(row)[0]?.split("=")[1] as string);
  }
}

async function countPermits(transaction: SqlTransaction, name: string): Promise<number> {
  const parameters: Parameters = { id: semaphore(name) };
  const [row] = await transaction.query(
    "select count(id) id from logtable where id = @id",
    parameters,
  );
  return Number(row?.[0]);
}

/** Its readers take no NULL in any column. */
function noNulls(row: readonly (string | null)[]): string[] {
  return row.map((column) => {
    if (column === null) throw new Error("the Go system cannot read a NULL");
    return column;
  });
}
