import { createHash, createHmac } from "node:crypto";
import { expect, test } from "bun:test";
import { parseKeys, sign, signedText } from "../../src/sidecar/signature.ts";

const request = {
  method: "POST",
  target: "/messages?kind=send",
  headers: {
    "user-agent": "hedgerow",
    "hedgerow-token": "1735787045123456",
    "hedgerow-id": "01KAH2Q3V4W5X6Y7Z8A9B0C1D2",
    "hedgerow-signature": "v1=not part of it",
  },
  body: new TextEncoder().encode("hello"),
};

test("method, target, metadata in order and the body's digest are signed, and no other header", () => {
  const digest = createHash("sha256").update("hello").digest("hex");
  const text = `POST\n/messages?kind=send\nhedgerow-id:01KAH2Q3V4W5X6Y7Z8A9B0C1D2\nhedgerow-token:1735787045123456\n${digest}`;
  expect(signedText(request)).toBe(text);
  const hmac = (key: string) => createHmac("sha256", key).update(text).digest("hex");
  expect(sign(request, ["first key", "second"])).toBe(
    `v1=${hmac("first key")},v1=${hmac("second")}`,
  );
});

test("whatever is changed, the signature is another one", () => {
  const { headers } = request;
  const changed = [
    request,
    { ...request, method: "PUT" },
    { ...request, target: "/messages" },
    { ...request, body: new TextEncoder().encode("hullo") },
    { ...request, headers: { ...headers, "hedgerow-token": "1735787045123457" } },
    { ...request, headers: { ...headers, "hedgerow-later": "" } },
    { ...request, headers: { "hedgerow-id": headers["hedgerow-id"] } },
  ];
  expect(new Set(changed.map((one) => sign(one, ["key"]))).size).toBe(changed.length);
});

test("keys are lines; what is wrong is named, the key is not", () => {
  const [first, second] = ["a".repeat(16), "b".repeat(64)];
  expect(parseKeys(`# new\n ${first} \r\n\n${second}\n`, "--f x")).toEqual([first, second]);
  const problem = (text: string) => {
    try {
      return String(parseKeys(text, "--f x"));
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(problem("# none\n")).toStartWith("--f x holds no key: ");
  expect(problem(first.slice(1))).toStartWith("--f x has a key short of 16 characters: ");
  expect(problem(`${second}\n`.repeat(5))).toBe("--f x holds 5 keys: 4 at most");
});
