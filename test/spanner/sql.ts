// SQL and mutations behind the store's back, as another system's client issues them. Imports nothing of src.
import type { protos } from "@google-cloud/spanner";
import type { SpannerClient } from "@google-cloud/spanner/build/src/v1/index.js";
import { dataClient } from "./database.ts";

/** A parameter of a statement: a text, or a timestamp in Spanner's form. */
export type Parameter = string | { readonly timestamp: string };
export type Parameters = Readonly<Record<string, Parameter>>;
/** The values of one row; numbers and timestamps as texts. */
export type Values = readonly (string | null)[];

type Mutation = protos.google.spanner.v1.IMutation;
type ResultSet = protos.google.spanner.v1.IResultSet;
type Selector = protos.google.spanner.v1.ITransactionSelector;

const CALL = { timeout: 10_000, retry: null };
const ABORTED = 10;
const ATTEMPTS = 50;

/** A client of one database. */
export class Sql implements AsyncDisposable {
  readonly #client: SpannerClient;

  constructor(
    host: string,
    private readonly database: string,
  ) {
    this.#client = dataClient(host);
  }

  /** The rows of a strong read. */
  async query(sql: string, parameters: Parameters = {}): Promise<Values[]> {
    const session = await this.#session();
    const [answer] = await this.#client.executeSql({ session, sql, ...bound(parameters) }, CALL);
    return valuesOf(answer);
  }

  /** Begins with its first statement. Ends when it is committed, or when another transaction takes its place. */
  async transaction(): Promise<SqlTransaction> {
    return new SqlTransaction(this.#client, await this.#session());
  }

  /** Runs `work` in a transaction, again if it gave way to another one; gives the commit timestamp. */
  async readWrite(work: (transaction: SqlTransaction) => Promise<unknown>): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      const transaction = await this.transaction();
      try {
        await work(transaction);
        return await transaction.commit();
      } catch (error) {
        if (!isAborted(error) || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Runs one statement of DML in a transaction of its own; gives the commit timestamp. */
  execute(sql: string, parameters: Parameters = {}): Promise<string> {
    return this.readWrite((transaction) => transaction.execute(sql, parameters));
  }

  /** Writes without reading; gives the commit timestamp. */
  async write(...mutations: Mutation[]): Promise<string> {
    const session = await this.#session();
    const single = { session, singleUseTransaction: { readWrite: {} }, mutations };
    const [answer] = await this.#client.commit(single, CALL);
    return timestampText(answer.commitTimestamp);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
  }

  async #session(): Promise<string> {
    const [session] = await this.#client.createSession({ database: this.database }, CALL);
    return session.name as string;
  }
}

export class SqlTransaction {
  #id: Uint8Array | null = null;
  #statements = 0;

  constructor(
    private readonly client: SpannerClient,
    private readonly session: string,
  ) {}

  async query(sql: string, parameters: Parameters = {}): Promise<Values[]> {
    return valuesOf(await this.#run(sql, parameters));
  }

  /** One statement of DML; gives the number of rows that it changed. */
  async execute(sql: string, parameters: Parameters = {}): Promise<number> {
    const { stats } = await this.#run(sql, parameters);
    return Number(stats?.rowCountExact ?? 0);
  }

  /** Gives the commit timestamp as Spanner writes it. */
  async commit(): Promise<string> {
    const request = { session: this.session, transactionId: this.#id };
    const [answer] = await this.client.commit(request, CALL);
    return timestampText(answer.commitTimestamp);
  }

  async #run(sql: string, parameters: Parameters): Promise<ResultSet> {
    const transaction: Selector =
      this.#id === null ? { begin: { readWrite: {} } } : { id: this.#id };
    const seqno = ++this.#statements;
    const { session } = this;
    const [answer] = await this.client.executeSql(
      { session, sql, seqno, transaction, ...bound(parameters) },
      CALL,
    );
    this.#id ??= (answer.metadata?.transaction?.id as Uint8Array | undefined) ?? null;
    return answer;
  }
}

/** It gave way to another transaction, and did nothing. */
export function isAborted(error: unknown): boolean {
  return grpcCodeOf(error) === ABORTED;
}

export function grpcCodeOf(error: unknown): number | null {
  return error instanceof Error && "code" in error ? Number(error.code) : null;
}

function bound(parameters: Parameters) {
  const entries = Object.entries(parameters);
  return {
    params: {
      fields: Object.fromEntries(
        entries.map(([name, value]) => [
          name,
          { stringValue: typeof value === "string" ? value : value.timestamp },
        ]),
      ),
    },
    paramTypes: Object.fromEntries(
      entries.map(([name, value]) => [
        name,
        { code: typeof value === "string" ? ("STRING" as const) : ("TIMESTAMP" as const) },
      ]),
    ),
  };
}

function valuesOf(answer: ResultSet): Values[] {
  return (answer.rows ?? []).map((row) =>
    (row.values ?? []).map((value) => value.stringValue ?? null),
  );
}

/** As in `2025-01-02T03:04:05.123456Z`: Spanner counts microseconds. */
function timestampText(timestamp: protos.google.protobuf.ITimestamp | null | undefined): string {
  const seconds = Number(timestamp?.seconds ?? 0);
  const micros = Math.floor((timestamp?.nanos ?? 0) / 1_000);
  const whole = new Date(seconds * 1_000).toISOString().slice(0, 19);
  return `${whole}.${String(micros).padStart(6, "0")}Z`;
}
