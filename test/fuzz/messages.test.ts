import { expect, test } from "bun:test";
import { type DescMessage, toBinary, toJsonString } from "@bufbuild/protobuf";
import { decode, decodeJson, encode, encodeJson } from "../../src/rpc/codec.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { mutateJson, randomJson } from "./kit/json.ts";
import { hostileBytes, randomMessage } from "./kit/messages.ts";
import { boundMs, rounds } from "./kit/rounds.ts";
import { MESSAGES } from "./schemas.ts";

/** Bytes are a message that can be written and read again, or malformed: nothing else. */
function readOrRefused(schema: DescMessage, read: typeof decode, bytes: Uint8Array): boolean {
  try {
    const message = read(schema, bytes);
    const again = decode(schema, encode(schema, message));
    expect(Buffer.compare(toBinary(schema, again), toBinary(schema, message))).toBe(0);
    return true;
  } catch (error) {
    expect(expectTyped(error, () => schema.name)).toBe("invalid_argument");
    return false;
  }
}

function shares(usual: number, round: (prng: Prng, schema: DescMessage) => boolean) {
  let read = 0;
  let refused = 0;
  rounds(usual, (prng) => {
    for (const schema of MESSAGES) {
      if (round(prng, schema)) read++;
      else refused++;
    }
  });
  return { read, refused };
}

test(
  "any bytes are a message or malformed, for every message there is",
  () => {
    const { read, refused } = shares(120, (prng, schema) =>
      readOrRefused(schema, decode, hostileBytes(prng, schema)),
    );
    // Both happen, or nothing is shown.
    expect(Math.min(read, refused)).toBeGreaterThan((read + refused) / 20);
  },
  boundMs(30_000),
);

test(
  "any JSON, and what is none, is a message or malformed",
  () => {
    const { read, refused } = shares(100, (prng, schema) => {
      const valid = () => {
        try {
          return toJsonString(schema, randomMessage(prng, schema));
        } catch {
          return "{}"; // a time or a duration that JSON cannot say
        }
      };
      const json = prng.chance(0.2) ? randomJson(prng) : mutateJson(prng, valid());
      const bytes = prng.chance(0.05) ? randomBytes(prng, 50) : new TextEncoder().encode(json);
      return readOrRefused(schema, decodeJson, bytes);
    });
    expect(Math.min(read, refused)).toBeGreaterThan((read + refused) / 20);
  },
  boundMs(30_000),
);

test(
  "what is written is read as it was, in protobuf and in JSON",
  () => {
    rounds(50, (prng) => {
      for (const schema of MESSAGES) {
        const message = randomMessage(prng, schema);
        const bytes = encode(schema, message);
        expect(Buffer.compare(toBinary(schema, decode(schema, bytes)), bytes)).toBe(0);
        let json: Uint8Array;
        try {
          json = encodeJson(schema, message);
        } catch {
          continue; // a time, a duration or an enum's number that JSON cannot say
        }
        expect(Buffer.compare(encode(schema, decodeJson(schema, json)), bytes)).toBe(0);
      }
    });
  },
  boundMs(30_000),
);
