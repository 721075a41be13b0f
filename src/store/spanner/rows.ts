import type { PartialResultSet, ResultSet, ResultSetMetadata, Row, Value } from "./api.ts";

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

/** Joins the parts of a streamed answer: a part may end in the middle of a row, and of a text. */
export async function streamRows(stream: AsyncIterable<unknown>): Promise<Streamed> {
  const values: Value[] = [];
  let width = 0;
  let chunked = false;
  let begun: Uint8Array | null = null;
  for await (const part of stream as AsyncIterable<PartialResultSet>) {
    begun ??= transactionId(part.metadata);
    width ||= part.metadata?.rowType?.fields?.length ?? 0;
    const [first, ...rest] = part.values ?? [];
    if (first === undefined) continue;
    const cut = chunked ? values.pop()?.stringValue : undefined;
    values.push(cut == null ? first : { stringValue: cut + (first.stringValue ?? "") });
    for (const value of rest) values.push(value);
    chunked = part.chunkedValue === true;
  }
  const rows: Row[] = [];
  for (let at = 0; at < values.length; at += width) rows.push(values.slice(at, at + width));
  return { rows, transactionId: begun };
}
