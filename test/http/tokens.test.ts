import { describe, expect, test } from "bun:test";
import { parseTokens, tokensOf } from "../../src/http/tokens.ts";

const A = "a".repeat(16);
const B = "B-._~+/0123456789==";

test("lines rw TOKEN and ro TOKEN, comments and empty lines", () => {
  const listed = parseTokens(`# for the web\r\nrw ${A}\r\n\n  ro\t${B}  \n`, "--f x");
  expect(listed).toEqual([
    { token: A, permission: "write" },
    { token: B, permission: "read" },
  ]);
  const tokens = tokensOf(listed);
  expect([A, B, A.slice(1), `${A}a`, ""].map((token) => tokens.permissionOf(token))).toEqual([
    "write",
    "read",
    null,
    null,
    null,
  ]);
});

describe("what is refused names the line and the mend, and no token", () => {
  test.each([
    ["", "--f x lists no token: give rw TOKEN"],
    ["# nothing\n", "--f x lists no token: give rw TOKEN"],
    [`${A}\n`, "--f x line 1: give rw TOKEN or ro TOKEN, "],
    [`rw ${A}\nwr ${B}`, "--f x line 2: give rw TOKEN or ro TOKEN, "],
    [`rw ${A} ${B}`, "--f x line 1: give rw TOKEN or ro TOKEN, "],
    [`rw ${A}ä`, "--f x line 1: give rw TOKEN or ro TOKEN, "],
    [`constructor ${A}`, "--f x line 1: give rw TOKEN or ro TOKEN, "],
    [`\nrw ${A.slice(1)}`, "--f x line 2: the token is short of 16 characters: "],
    [`rw ${A}\nro ${A}`, "--f x line 2: the token is listed before: "],
    [
      Array.from({ length: 257 }, (_, i) => `rw ${A}${i}`).join("\n"),
      "--f x lists 257 tokens: 256 at most",
    ],
  ])("%p", (text, message) => {
    let said = "";
    try {
      parseTokens(text, "--f x");
    } catch (error) {
      said = String((error as Error).message);
    }
    expect(said).toStartWith(message);
    expect(said).not.toContain(A.slice(1));
  });
});
