import { expect, test } from "bun:test";
import { Http1Answer } from "../../src/rpc/streams/http1-answer.ts";
import { bytes } from "../rpc/kit/nodes.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { chunksOf, join, mutate, randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { boundMs, rounds } from "./kit/rounds.ts";
import { text } from "./kit/texts.ts";

// The answer of HTTP/1.1 that carries streams, which is read by hand.

function answer(prng: Prng): Uint8Array {
  const status = prng.pick(["200 OK", "200 OK", "503 x", "100 Continue", "20 x", ""]);
  const length = prng.pick([
    "5",
    "0",
    "-1",
    "1.5",
    "0x5",
    "1e3",
    "",
    "99999999999999999999",
    "5, 5",
  ]);
  const headers = [
    `content-length: ${length}`,
    "transfer-encoding: chunked",
    `transfer-encoding: ${prng.pick(["gzip, chunked", "CHUNKED", "identity"])}`,
    `${prng.pick(["a b", "é", "x"])}: ${text(prng)}`,
    ": nameless",
    "content-type: application/connect+proto",
  ];
  const some = headers.filter(() => prng.chance(0.3)).map((line) => `${line}\r\n`);
  const chunk = () => {
    const data = randomBytes(prng, 40);
    const size = prng.pick([data.length, data.length, data.length, 0, -1, 2 ** 40]).toString(16);
    const extension = prng.pick(["", "", ";a=b", " ", "x".repeat(80)]);
    return join(
      bytes(`${size}${extension}\r\n`),
      data,
      bytes(prng.pick(["\r\n", "\r\n", "\n", ""])),
    );
  };
  const chunks = Array.from({ length: prng.int(4) }, chunk);
  const early = prng.chance(0.1) ? "HTTP/1.1 100 Continue\r\n\r\n".repeat(prng.int(50)) : "";
  const end = bytes(prng.pick(["0\r\n\r\n", "0\r\n", ""]));
  const head = bytes(`${early}HTTP/1.1 ${status}\r\n${some.join("")}\r\n`);
  const whole = join(head, ...chunks, end);
  return prng.chance(0.6) ? whole : mutate(prng, whole);
}

interface Read {
  readonly told: string;
  readonly code: string | null;
  readonly bytes: number;
}

/** What is told of the answer, until it ends or is none. */
function read(chunks: readonly Uint8Array[]): Read {
  const told: string[] = [];
  const body: string[] = [];
  const reader = new Http1Answer({
    head: (status, headers) => void told.push(`${status} ${JSON.stringify([...headers])}`),
    data: (data) => void body.push(Buffer.from(data).toString("hex")),
    end: () => void told.push("end"),
  });
  let code: string | null = null;
  try {
    for (const chunk of chunks) reader.push(Buffer.from(chunk));
  } catch (error) {
    code = expectTyped(error, () => "an answer");
  }
  const hex = body.join("");
  return { told: `${told.join()} ${hex} ${reader.mayEnd}`, code, bytes: hex.length / 2 };
}

test(
  "any bytes are an answer, the same in whatever chunks they come, or none",
  () => {
    const codes = new Set<string | null>();
    rounds(1_500, (prng) => {
      const bytes = answer(prng);
      const once = read([bytes]);
      codes.add(once.code);
      expect(once.bytes).toBeLessThanOrEqual(bytes.length);
      expect(read(chunksOf(prng, bytes))).toEqual(once);
    });
    expect([...codes].sort()).toEqual([null, "outcome_unknown"].sort());
  },
  boundMs(20_000),
);

test("an answer that never begins ends with the size of a head", () => {
  const early = Buffer.from("HTTP/1.1 100\r\n\r\n".repeat(30_000));
  for (const chunks of [[early], Array.from({ length: 30_000 }, () => early.subarray(0, 16))]) {
    expect(read(chunks)).toEqual({ told: "  false", code: "outcome_unknown", bytes: 0 });
  }
});
