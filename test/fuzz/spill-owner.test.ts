import { expect, test } from "bun:test";
import type { DescMethodUnary } from "@bufbuild/protobuf";
import { HedgerowError } from "../../src/errors.ts";
import {
  type KeepSegment,
  KeepSegmentSchema,
  RoomResponseSchema,
} from "../../src/gen/hedgerow/v1/spill_pb.ts";
import { decode, encode } from "../../src/rpc/codec.ts";
import type { Peers, StreamInput, StreamKind } from "../../src/rpc/port.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { KEEP } from "../../src/spill/remote/wire.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { record, spillOf } from "../spill/kit.ts";
import { mutate, randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { hostileBytes, type Plausible } from "./kit/messages.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

// A store whose segments are kept by nodes that lie: what is read is what was written, or a typed error.

const SELF = "10.0.0.1:1";
const OTHERS = ["10.0.0.2:1", "10.0.0.3:1"];
const RECORD_BYTES = 500;
const ROOM: Plausible = {
  memory: [0n, 10_000n, 2n ** 40n, 2n ** 64n - 1n],
  disk: [0n, 2n ** 63n],
  incarnation: [1n],
  stamp: [0n, 1n, 100n, 2n ** 53n],
};

/** Nodes that say they keep what they are given, and give back what they like. */
class Liars implements Peers {
  readonly #kept = new Map<string, Uint8Array>();

  constructor(private readonly prng: Prng) {}

  async unary(_to: string, method: DescMethodUnary): Promise<never> {
    const { prng } = this;
    if (prng.chance(0.1)) throw new HedgerowError("unavailable", "nobody is there");
    return decode(method.output, hostileBytes(prng, method.output, ROOM)) as never;
  }

  async stream(_to: string, kind: StreamKind, given: unknown, input: StreamInput): Promise<never> {
    const { prng } = this;
    const opening = decode(KeepSegmentSchema, encode(kind.opening, given as never));
    if (prng.chance(0.1)) throw new HedgerowError("no_space", "there is none");
    return (kind.name === KEEP.name ? this.#keep(opening, input) : this.#fetch(opening)) as never;
  }

  forget(): void {}

  async *#keep({ segment }: KeepSegment, input: StreamInput): AsyncGenerator<Uint8Array> {
    const { prng } = this;
    const pieces: Uint8Array[] = [];
    for await (const piece of input) {
      pieces.push(Uint8Array.from(piece as Uint8Array));
      if (prng.chance(0.02)) return;
      if (prng.chance(0.02)) throw new HedgerowError("outcome_unknown", "it broke");
    }
    this.#kept.set(String(segment), Buffer.concat(pieces));
    const answer = () =>
      prng.chance(0.5) ? randomBytes(prng, 10) : hostileBytes(prng, RoomResponseSchema, ROOM);
    for (let left = prng.pick([1, 1, 1, 1, 0, 3]); left > 0; left--) yield answer();
  }

  async *#fetch({ segment }: { readonly segment: number }): AsyncGenerator<Uint8Array> {
    const { prng } = this;
    const kept = this.#kept.get(prng.chance(0.9) ? String(segment) : "0");
    if (kept === undefined) throw new HedgerowError("not_found", "no such segment");
    const given = prng.pick<() => Uint8Array>([
      () => kept,
      () => kept,
      () => kept,
      () => mutate(prng, kept),
      () => kept.subarray(0, prng.int(kept.length)),
      () => Buffer.concat([kept, kept]),
    ])();
    if (prng.chance(0.1)) yield new Uint8Array();
    yield given.subarray(0, 1_000);
    yield given.subarray(1_000);
  }
}

/** Reads on behind each gap; gives the codes of what it was told, and how many records came. */
async function readAll(store: SpillStore, codes: Set<string>): Promise<number> {
  let came = 0;
  for (let from = 0; from < store.count;) {
    try {
      for await (const got of store.reader({ from })) {
        expect(Buffer.compare(got, record(from, RECORD_BYTES))).toBe(0);
        from++;
        came++;
      }
      expect(from).toBe(store.count);
    } catch (error) {
      codes.add(expectTyped(error, () => "reading"));
      from = Math.max(from + 1, (error as HedgerowError).lost?.to ?? 0);
    }
  }
  return came;
}

test(
  "what is read is what was written, or its loss is told with its range",
  async () => {
    const codes = new Set<string>();
    let came = 0;
    await asyncRounds(10, async (prng) => {
      const spill = spillOf({
        memoryBytes: 40_000,
        diskBytes: 0,
        compression: prng.pick(["none", "zstd"] as const),
        cluster: {
          peers: new Liars(prng),
          self: SELF,
          incarnation: 1n,
          others: () => OTHERS,
        },
      });
      const store = spill.store("fuzzed", { memoryBytes: 40_000, diskBytes: 40_000 });
      const writer = store.writer();
      for (let i = 0; i < 200; i++) {
        // Members lie about each other, too, and of some who are none.
        const about = prng.pick([...OTHERS, SELF, "10.0.0.9:1"]);
        const notice = hostileBytes(prng, RoomResponseSchema, ROOM);
        spill.heardRoom(about, notice, prng.pick([1, i, 2 ** 53 - 1]));
        try {
          await writer.append(record(store.count, RECORD_BYTES));
        } catch (error) {
          codes.add(expectTyped(error, () => "writing"));
          break;
        }
      }
      await writer.close();
      came += await readAll(store, codes);
      await spill.stop();
      expect(spill.memory.used).toBe(0);
    });
    expect(came).toBeGreaterThan(200);
    expect([...codes]).toEqual(expect.arrayContaining(["data_lost", "no_space"]));
  },
  boundMs(30_000),
);
