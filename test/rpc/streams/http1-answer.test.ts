import { expect, test } from "bun:test";
import fc from "fast-check";
import { HedgerowError } from "../../../src/errors.ts";
import { Http1Answer } from "../../../src/rpc/streams/http1-answer.ts";

/** What an answer that comes in pieces of these sizes is read as. */
function read(text: string | Buffer, sizes: readonly number[] = [1e9]) {
  const bytes = Buffer.from(text as string, "latin1");
  const seen = { status: 0, headers: new Headers(), body: "", ended: false };
  const answer = new Http1Answer({
    head: (status, headers) => Object.assign(seen, { status, headers }),
    data: (data) => {
      seen.body += Buffer.from(data).toString("latin1");
    },
    end: () => {
      seen.ended = true;
    },
  });
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] as number;
    answer.push(bytes.subarray(at, at + size));
    at += size;
  }
  return { ...seen, mayEnd: answer.mayEnd };
}

const HEAD = "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n";

test("a chunked body is read as it was, wherever it is cut", () => {
  const chunks = fc.array(fc.string({ minLength: 1, maxLength: 40 }), { maxLength: 6 });
  const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 });
  fc.assert(
    fc.property(chunks, sizes, (parts, cuts) => {
      const latin = parts.map((part) => Buffer.from(part).toString("latin1"));
      const body = latin.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("");
      const text = `HTTP/1.1 100 Continue\r\n\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n${body}0\r\n\r\n`;
      expect(read(text, cuts)).toMatchObject({ status: 200, body: latin.join(""), ended: true });
    }),
    { numRuns: 300 },
  );
});

test("a body of a length ends with it, one of none with the connection", () => {
  const fixed = read(`${HEAD}Content-Length: 3\r\n\r\nabcd`);
  expect(fixed).toMatchObject({ body: "abc", ended: true });
  expect(fixed.headers.get("content-type")).toBe("a/b");
  expect(read(`${HEAD}Content-Length: 0\r\n\r\n`)).toMatchObject({ body: "", ended: true });
  expect(read(`${HEAD}\r\nabc`)).toMatchObject({ body: "abc", ended: false, mayEnd: true });
  expect(read(`${HEAD}Content-Length: 9\r\n\r\nabc`)).toMatchObject({
    ended: false,
    mayEnd: false,
  });
});

test("C6: what is no HTTP/1.1 is `outcome_unknown`, and of bounded size", () => {
  const wrong = [
    "SSH-2.0\r\n\r\n",
    "HTTP/2 200\r\n\r\n",
    `${HEAD}: x\r\n\r\n`,
    `${HEAD}Content-Length: -1\r\n\r\n`,
    `${HEAD}Content-Length: x\r\n\r\n`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`,
    `${HEAD}Transfer-Encoding: chunked\r\n\r\n${"0".repeat(100)}`,
    "x".repeat(20_000),
  ];
  for (const text of wrong) {
    expect(() => read(text, [7])).toThrow(HedgerowError);
  }
});
