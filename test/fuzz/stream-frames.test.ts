import { expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { CarryRequestSchema } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { readFrames } from "../../src/rpc/streams/frame-reader.ts";
import { expectTyped } from "./kit/errors.ts";
import { hostileBytes } from "./kit/messages.ts";
import { boundMs, rounds } from "./kit/rounds.ts";

// The frames of streams between nodes, which are read by hand.

/** What protobuf's own reader makes of them; null: nothing. Each is strict where the other is not. */
function readByProtobuf(bytes: Uint8Array): string | null {
  try {
    const { frames } = fromBinary(CarryRequestSchema, bytes);
    return frames.flatMap(({ messages }) => messages.map(hex)).join();
  } catch {
    return null;
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test(
  "any bytes are frames, with the messages that protobuf finds in them, or malformed",
  () => {
    let read = 0;
    let refused = 0;
    rounds(120, (prng) => {
      const bytes = hostileBytes(prng, CarryRequestSchema);
      const expected = readByProtobuf(bytes);
      const messages: string[] = [];
      const sink = {
        onMessage: (_: number, data: Uint8Array) => void messages.push(hex(data)),
        onFrame() {},
      };
      try {
        readFrames(bytes, sink);
        if (expected !== null) expect(messages.join()).toBe(expected);
        read++;
      } catch (error) {
        expect(expectTyped(error, () => "frames")).toBe("invalid_argument");
        refused++;
      }
    });
    expect(Math.min(read, refused)).toBeGreaterThan(50);
  },
  boundMs(20_000),
);
