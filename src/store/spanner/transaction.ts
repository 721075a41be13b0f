import type { Operation } from "../../runtime/operation.ts";
import type { KeySet, ResultSet, Row, Statement, TransactionSelector } from "./api.ts";
import type { SpannerClient } from "./client.ts";
import { readRows, streamRows, transactionId } from "./rows.ts";
import { rpc } from "./rpc.ts";

const ROLLBACK_TIMEOUT_MS = 2_000;

/** The reads of one read-write transaction, one after the other; the first begins it. */
export class Transaction {
  #id: Uint8Array | null = null;

  constructor(
    private readonly client: SpannerClient,
    private readonly session: string,
    private readonly operation: Operation,
  ) {}

  get begun(): boolean {
    return this.#id !== null;
  }

  /** Throws before the first read. */
  get id(): Uint8Array {
    if (this.#id === null) throw new Error("a transaction writes before it has read");
    return this.#id;
  }

  /** Rows by their keys: locks these columns of these rows, and nothing else. */
  async read(table: string, keySet: KeySet, columns: string[]): Promise<Row[]> {
    const { session } = this;
    const request = { session, table, keySet, columns, transaction: this.#selector() };
    const [answer] = await this.client.read(request, rpc(this.operation));
    return this.#rows(answer);
  }

  /** As `read`, of rows of any size: a plain answer ends at 10 MiB. */
  async readLarge(table: string, keySet: KeySet, columns: string[]): Promise<Row[]> {
    const { session } = this;
    const request = { session, table, keySet, columns, transaction: this.#selector() };
    const { rows, transactionId } = await streamRows(
      this.client.streamingRead(request, rpc(this.operation)),
      this.operation.signal,
    );
    this.#id ??= transactionId;
    return rows;
  }

  async query(statement: Statement): Promise<Row[]> {
    const { session } = this;
    const request = { ...statement, session, transaction: this.#selector() };
    const [answer] = await this.client.executeSql(request, rpc(this.operation));
    return this.#rows(answer);
  }

  /** Throws what Spanner answers. */
  async rollback(client: SpannerClient): Promise<void> {
    const request = { session: this.session, transactionId: this.id };
    await client.rollback(request, { timeout: ROLLBACK_TIMEOUT_MS, retry: null });
  }

  #selector(): TransactionSelector {
    return this.#id === null ? { begin: { readWrite: {} } } : { id: this.#id };
  }

  #rows(answer: ResultSet): Row[] {
    this.#id ??= transactionId(answer.metadata);
    return readRows(answer);
  }
}
