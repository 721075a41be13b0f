import { describe, expect, test } from "bun:test";
import type { PartialResultSet } from "../../src/store/spanner/api.ts";
import { readRows, streamRows } from "../../src/store/spanner/rows.ts";
import { FakeStream } from "./spanner-stream.ts";

const NULL = { nullValue: "NULL_VALUE" } as const;
const id = new Uint8Array([1, 2]);
const text = (stringValue: string) => ({ stringValue });
const texts = (...values: string[]) => values.map(text);
/** Two columns. */
const metadata = { rowType: { fields: [{ name: "a" }, { name: "b" }] }, transaction: { id } };

/** What the parts of a streamed answer give. */
async function rowsOf(...parts: PartialResultSet[]) {
  const stream = new FakeStream();
  const streamed = streamRows(stream, new AbortController().signal);
  stream.send(...parts);
  stream.end();
  return streamed;
}

describe("a streamed answer", () => {
  test("is in rows wherever its parts end", async () => {
    const values = texts("1", "2", "3", "4", "5", "6");
    const rows = [texts("1", "2"), texts("3", "4"), texts("5", "6")];
    for (let first = 0; first <= 6; first++) {
      for (let second = first; second <= 6; second++) {
        const streamed = await rowsOf(
          { metadata, values: values.slice(0, first) },
          { values: values.slice(first, second) },
          { values: values.slice(second) },
        );
        expect(streamed).toEqual({ rows, transactionId: id });
      }
    }
  });

  test("joins a text that was cut, over as many parts as there are, empty ones included", async () => {
    const { rows } = await rowsOf(
      { metadata, values: texts("one", "tw"), chunkedValue: true },
      { values: [], chunkedValue: true },
      { values: texts("o "), chunkedValue: true },
      {},
      { values: texts("and"), chunkedValue: true },
      { values: texts("", "three"), chunkedValue: false },
      { values: texts("four") },
    );
    expect(rows).toEqual([texts("one", "two and"), texts("three", "four")]);
  });

  test("joins the end of one text and the beginning of the next in one part", async () => {
    const { rows } = await rowsOf(
      { metadata, values: texts("a"), chunkedValue: true },
      { values: texts("b", "c"), chunkedValue: true },
      { values: texts("d") },
    );
    expect(rows).toEqual([texts("ab", "cd")]);
  });

  test("leaves whole texts apart, though a part ends between them", async () => {
    const { rows } = await rowsOf(
      { metadata, values: texts("a", "b") },
      { values: texts("c", "d") },
    );
    expect(rows).toEqual([texts("a", "b"), texts("c", "d")]);
  });

  test("has its NULLs", async () => {
    const { rows } = await rowsOf(
      { metadata, values: [NULL, text("x")], chunkedValue: true },
      { values: [text("y"), NULL] },
      { values: [NULL] },
    );
    expect(rows).toEqual([
      [NULL, text("xy")],
      [NULL, NULL],
    ]);
  });

  test("without rows is empty, and has its transaction", async () => {
    expect(await rowsOf({ metadata })).toEqual({ rows: [], transactionId: id });
  });

  test("that ends without its columns, or within a row or a text, is none", async () => {
    const codeOf = (...parts: PartialResultSet[]) => rowsOf(...parts).catch(({ code }) => code);
    expect(await codeOf()).toBe(14);
    expect(await codeOf({ metadata, values: texts("1", "2", "3") })).toBe(14);
    expect(await codeOf({ metadata, values: texts("1", "2"), chunkedValue: true })).toBe(14);
    expect(await codeOf({ metadata, values: texts("1", "2") })).toMatchObject({ rows: [{}] });
  });

  test("that fails gives its error, not the rows that came", async () => {
    const stream = new FakeStream();
    const streamed = streamRows(stream, new AbortController().signal);
    stream.send({ metadata, values: texts("1", "2") });
    const error = new Error("broken");
    stream.fail(error);
    expect(await streamed.catch((thrown: unknown) => thrown)).toBe(error);
  });

  test("is cancelled with its signal", async () => {
    const stream = new FakeStream();
    const caller = new AbortController();
    const streamed = streamRows(stream, caller.signal);
    expect(stream.canceled).toBe(false);
    caller.abort();
    expect(stream.canceled).toBe(true);
    expect(await streamed.catch(({ code }) => code)).toBe(1);
  });
});

test("a plain answer's rows", () => {
  expect(readRows({ rows: [{ values: texts("a") }, {}] })).toEqual([texts("a"), []]);
  expect(readRows({})).toEqual([]);
});
