import type { PartialResultSet, ResultSet, ResultSetMetadata, Row, Value } from "./api.ts";
import { Grpc } from "./errors.ts";

export function readRows(answer: ResultSet): Row[] {
  return (answer.rows ?? []).map((row) => row.values ?? []);
}

/** Of the transaction that the read has begun; null if it has not. */
export function transactionId(metadata: ResultSetMetadata | null | undefined): Uint8Array | null {
  const id = metadata?.transaction?.id as Uint8Array | undefined;
  return id !== undefined && id.length > 0 ? id : null;
}

export interface Streamed {
  readonly rows: Row[];
  readonly transactionId: Uint8Array | null;
}

/** A streamed answer, as Google's clients give it: to be heard, for iterating over it yields nothing. */
interface AnswerStream {
  on(event: "data", listen: (part: PartialResultSet) => void): unknown;
  on(event: "end", listen: () => void): unknown;
  on(event: "error", listen: (error: Error) => void): unknown;
  cancel(): void;
}

/**
 * Joins the parts of a streamed answer: a part may end in the middle of a row, and of a text. Where the connection
 * breaks as an answer comes, grpc-js on Bun may report success and give nothing of it; every answer of Spanner's,
 * one without rows too, begins with its columns. What is incomplete is thrown as UNAVAILABLE.
 */
export function streamRows(stream: AnswerStream, signal: AbortSignal): Promise<Streamed> {
  const values: Value[] = [];
  let width = 0;
  let chunked = false;
  let begun: Uint8Array | null = null;
  stream.on("data", (part) => {
    begun ??= transactionId(part.metadata);
    width ||= part.metadata?.rowType?.fields?.length ?? 0;
    const [first, ...rest] = part.values ?? [];
    if (first === undefined) return;
    const cut = chunked ? values.pop()?.stringValue : undefined;
    values.push(cut == null ? first : { stringValue: cut + (first.stringValue ?? "") });
    for (const value of rest) values.push(value);
    chunked = part.chunkedValue === true;
  });
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => stream.cancel(), { once: true });
    stream.on("error", reject);
    stream.on("end", () => {
      const isWhole = width > 0 && values.length % width === 0 && !chunked;
      if (isWhole) resolve({ rows: inRows(values, width), transactionId: begun });
      else reject(incomplete());
    });
  });
}

function incomplete(): Error {
  const error = new Error("the connection broke as the answer came");
  return Object.assign(error, { code: Grpc.UNAVAILABLE });
}

function inRows(values: readonly Value[], width: number): Row[] {
  const rows: Row[] = [];
  for (let at = 0; at < values.length; at += width) rows.push(values.slice(at, at + width));
  return rows;
}
