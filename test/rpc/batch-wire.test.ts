import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import {
  BatchErrorSchema,
  BatchRequestSchema,
  BatchResponseSchema,
} from "../../src/gen/hedgerow/v1/peer_pb.ts";
import {
  readBatch,
  readReplies,
  replySize,
  writeBatch,
  writeReplies,
} from "../../src/rpc/batch-wire.ts";

// Sizes around those where a length takes another byte.
const message = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(100, 127, 128, 16_383, 16_384).map((size) => new Uint8Array(size).fill(7)),
);
const call = fc.record({
  method: fc.constantFrom("a.B/C", "hedgerow.v1.PeerService/Append", "x".repeat(130)),
  message,
  timeoutMs: fc.oneof(fc.nat(300), fc.nat(2 ** 31 - 1), fc.constant(2 ** 32 - 1)),
});
const reply = fc.record({ ok: fc.boolean(), bytes: message });

test("a batch is what protobuf's own codec makes of it, and reads", () => {
  fc.assert(
    fc.property(fc.array(call, { maxLength: 8 }), (calls) => {
      const encoded = calls.map((each) => ({
        ...each,
        method: new TextEncoder().encode(each.method),
      }));
      const ours = writeBatch(encoded);
      const theirs = fromBinary(BatchRequestSchema, ours);
      expect(
        theirs.calls.map(({ method, message, timeoutMs }) => ({ method, message, timeoutMs })),
      ).toEqual(calls);
      expect(readBatch(toBinary(BatchRequestSchema, theirs))).toEqual(calls);
      expect(readBatch(ours)).toEqual(calls);
    }),
  );
});

test("replies are what protobuf's own codec makes of them, and reads", () => {
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 8 }), (replies) => {
      // An error's bytes must be an error for protobuf's codec to read them.
      const real = replies.map(({ ok, bytes }) => {
        if (ok) return { ok, bytes };
        const error = create(BatchErrorSchema, {
          code: "timeout",
          message: "x".repeat(bytes.length),
        });
        return { ok, bytes: toBinary(BatchErrorSchema, error) };
      });
      const ours = writeReplies(real);
      expect(ours).toHaveLength(real.reduce((sum, each) => sum + replySize(each.bytes.length), 0));
      expect(readReplies(ours)).toEqual(real);
      const theirs = toBinary(BatchResponseSchema, fromBinary(BatchResponseSchema, ours));
      expect(readReplies(theirs)).toEqual(real);
    }),
  );
});

test("fields that a newer version may add are passed over", () => {
  const inner = new BinaryWriter().uint32(0x0a).string("a.B/C").uint32(0x78).uint32(300).finish();
  const body = new BinaryWriter().uint32(0x7a).string("new").uint32(0x0a).bytes(inner).finish();
  expect(readBatch(body)).toEqual([{ method: "a.B/C", message: new Uint8Array(), timeoutMs: 0 }]);
});

test("C6: any bytes at all are read, or refused as malformed", () => {
  const malformed = expect.objectContaining({ code: "invalid_argument" });
  for (const read of [readBatch, readReplies]) {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (body) => {
        try {
          read(body);
        } catch (error) {
          expect(error).toEqual(malformed);
        }
      }),
      { numRuns: 2_000 },
    );
  }
  const inner = Uint8Array.of(0x12, 0x05, 1, 2, 3); // a message of five bytes, three of which are there
  const body = new BinaryWriter().uint32(0x0a).bytes(inner).uint32(0x0a).bytes(inner).finish();
  expect(() => readBatch(body)).toThrow(malformed);
});
