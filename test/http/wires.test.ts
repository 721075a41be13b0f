import { expect, test } from "bun:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  SpillReadResponseSchema,
  StreamToLeaderRequestSchema,
  StreamToLeaderResponseSchema,
} from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { CLIENT_WIRES } from "../../src/http/wires.ts";
import type { MessageWriter } from "../../src/rpc/message-wire.ts";

const { writers, readers } = CLIENT_WIRES;
const data = fc.uint8Array({ maxLength: 300 });
const LONG = [127, 128, 16_383, 16_384, 2_097_152].map((length) => new Uint8Array(length).fill(7));

function written(schema: Parameters<typeof writers.get>[0], message: object): Uint8Array {
  const writer = writers.get(schema) as MessageWriter<object>;
  const size = writer.sizeOf(message);
  const into = new Uint8Array(size + 8).fill(0xee);
  writer.write(message, into, 4);
  expect([...into.subarray(0, 4), ...into.subarray(size + 4)]).toEqual(Array(8).fill(0xee));
  return into.slice(4, size + 4);
}

test("replies of the leader are written as protobuf does", () => {
  const check = (value: Uint8Array<ArrayBuffer>) => {
    const message = create(StreamToLeaderResponseSchema, { data: value });
    const bytes = toBinary(StreamToLeaderResponseSchema, message);
    expect(Buffer.compare(written(StreamToLeaderResponseSchema, { data: value }), bytes)).toBe(0);
  };
  for (const value of LONG) check(value);
  fc.assert(fc.property(data, (value) => check(value as Uint8Array<ArrayBuffer>)));
  expect(written(StreamToLeaderResponseSchema, {}).length).toBe(0);
});

test("spilled records are written as protobuf does", () => {
  const check = (first: bigint, records: Uint8Array[]) => {
    const fields = { first, records: records as Uint8Array<ArrayBuffer>[] };
    const bytes = toBinary(SpillReadResponseSchema, create(SpillReadResponseSchema, fields));
    expect(Buffer.compare(written(SpillReadResponseSchema, fields), bytes)).toBe(0);
  };
  check(1n << 40n, LONG);
  fc.assert(fc.property(fc.bigInt(0n, (1n << 53n) - 1n), fc.array(data), check));
});

test("messages for the leader are read as protobuf does, whatever they look like", () => {
  const read = readers.get(StreamToLeaderRequestSchema);
  const check = (bytes: Uint8Array) => {
    const fast = read?.(bytes) as { part: unknown } | null;
    if (fast !== null)
      expect(fast.part).toEqual(fromBinary(StreamToLeaderRequestSchema, bytes).part);
    return fast !== null;
  };
  for (const value of [new Uint8Array(), ...LONG]) {
    const message = create(StreamToLeaderRequestSchema, { part: { case: "data", value } });
    expect(check(toBinary(StreamToLeaderRequestSchema, message))).toBe(true);
  }
  const open = create(StreamToLeaderRequestSchema, { part: { case: "open", value: {} } });
  expect(check(toBinary(StreamToLeaderRequestSchema, open))).toBe(false);
  for (const odd of [
    [],
    [10],
    [10, 2, 1],
    [10, 1, 1, 1],
    [10, 0x81, 0x80, 0],
    [10, 255, 255, 255, 255, 255],
  ]) {
    check(Uint8Array.from(odd));
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 6 }), (rest) => void check(Uint8Array.of(10, ...rest))),
  );
});
