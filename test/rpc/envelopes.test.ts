import { expect, test } from "bun:test";
import fc from "fast-check";
import { EnvelopeReader, envelope } from "../../src/rpc/envelopes.ts";

function readAll(reader: EnvelopeReader): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let next = reader.next(); next !== null; next = reader.next()) all.push(next.data);
  return all;
}

test("messages come out as they went in, wherever the stream is cut into chunks", () => {
  const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
  const cuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(messages, cuts, (sent, sizes) => {
      const stream = Buffer.concat(sent.map(envelope));
      const reader = new EnvelopeReader(1_000);
      const received: Uint8Array[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = sizes[i % sizes.length] as number;
        reader.push(stream.subarray(at, at + size));
        reader.push(new Uint8Array());
        received.push(...readAll(reader));
        at += size;
      }
      expect(received.map((data) => [...data])).toEqual(sent.map((data) => [...data]));
    }),
    { numRuns: 300 },
  );
});

test("a message over the limit is refused by its header, before it has come", () => {
  const reader = new EnvelopeReader(10);
  reader.push(envelope(new Uint8Array(11)).subarray(0, 5));
  expect(() => reader.next()).toThrow(expect.objectContaining({ code: "too_large" }));
});
