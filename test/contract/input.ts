import { describe, expect, test } from "bun:test";
import type { ErrorCode } from "../../src/errors.ts";
import {
  MAX_ID_BYTES,
  MAX_KEY_BYTES,
  MAX_NAME_BYTES,
  MAX_VALUE_BYTES,
} from "../../src/store/limits.ts";
import type { Permit } from "../../src/store/ports.ts";
import { expectCode } from "./errors.ts";
import { entry, type MakeWorld, useWorld } from "./world.ts";
import { lookedAtLater } from "../rpc/kit/wait.ts";

/** Texts that careless SQL, careless binding or careless decoding would change. */
const AWKWARD = [
  "'",
  '"',
  "''; DROP TABLE locktable; --",
  "back\\slash",
  "per%cent_under",
  "line\nbreak\r\n\ttab",
  "nul\0in the middle",
  "\0",
  "\0nul first",
  "emoji 🦔🌿 and 👩‍👩‍👧",
  "latin é ÿ",
  "日本語",
  "\uFEFFbyte order mark",
  "\uFFFD replacement",
  "\u2028 separators \u2029",
  "{json}",
  "?1 :name $name @name",
  " spaces ",
  "a".repeat(MAX_NAME_BYTES),
  "é".repeat(MAX_NAME_BYTES / 2),
];

/** Names that no store takes, with the code of the refusal. */
const REFUSED: readonly (readonly [string, ErrorCode])[] = [
  ["", "invalid_argument"],
  ["lone \uD800 surrogate", "invalid_argument"],
  ["\uDC00", "invalid_argument"],
  ["a".repeat(MAX_NAME_BYTES + 1), "too_large"],
  ["é".repeat(MAX_NAME_BYTES / 2 + 1), "too_large"],
  [`${"a".repeat(MAX_NAME_BYTES - 3)}🦔`, "too_large"],
];

export function inputContract(makeWorld: MakeWorld): void {
  describe("input (L13)", () => {
    const { store, other, fence } = useWorld(makeWorld);
    const takeOver = { writer: "w:1", expectedToken: null, leaseMs: 2_000, minAgeMs: 0 };
    const permit: Permit = {
      owner: "o",
      holder: "h:1",
      incarnation: 1,
      grant: "g",
      detached: false,
    };
    const taking = (what: Partial<Permit>, semaphore = "s") => [
      { semaphore, limit: 1, release: [], acquire: [{ ...permit, ...what }] },
    ];

    test("lock names and writers of any text are kept exactly, and apart", async () => {
      const tokens = new Map<string, number>();
      for (const name of AWKWARD) {
        const taken = await store().lock.acquire({ ...takeOver, name, writer: name });
        if (taken.kind !== "acquired") throw new Error(`refused: ${JSON.stringify(name)}`);
        tokens.set(name, taken.token);
      }
      for (const [name, token] of tokens) {
        expect(await other().lock.read(name)).toMatchObject({ token, writer: name });
        expect(await other().lock.renew(name, token)).toBe("renewed");
        expect(await other().lock.release(name, token)).toBe("released");
      }
    });

    test("keys, ids, values and leaders of any text are kept exactly, and apart", async () => {
      const claim = await fence();
      const entries = AWKWARD.map((text) => ({
        key: text,
        id: text.length > MAX_ID_BYTES / 2 ? "id" : text,
        value: text,
        leader: text,
      }));
      const outcomes = await store().log.append(entries, claim);
      expect(await store().log.append(entries, claim)).toEqual(outcomes);
      for (const expected of entries) {
        const versions = await other().log.read(expected.key, -1);
        expect(versions).toEqual([{ ...expected, timestamp: expect.any(Number) }]);
      }
    });

    test("semaphores and owners of any text are kept exactly, and apart", async () => {
      const claim = await fence();
      for (const text of AWKWARD) {
        const owned = {
          owner: text,
          holder: text,
          grant: text,
          incarnation: Number.MAX_SAFE_INTEGER,
        };
        expect(await store().semaphores.change(taking(owned, text), claim)).toEqual([["acquired"]]);
        const { permits } = await other().semaphores.read(text);
        expect(permits).toEqual([{ ...permit, ...owned }]);
      }
      for (const text of AWKWARD) {
        const release = [{ owner: text, grant: text }];
        const giving = { semaphore: text, limit: 1, release, acquire: [] };
        await other().semaphores.change([giving], claim);
        expect(await other().semaphores.read(text)).toEqual({ limit: null, permits: [] });
      }
    });

    test("texts up to their limits are taken", async () => {
      const largest = {
        key: "k".repeat(MAX_KEY_BYTES),
        id: "i".repeat(MAX_ID_BYTES),
        value: `${"v".repeat(MAX_VALUE_BYTES - 4)}🦔`,
        leader: "l:1",
      };
      await store().log.append([largest, entry("empty", "1", "")], null);
      expect(await other().log.read(largest.key, 0)).toMatchObject([largest]);
      expect(await other().log.read("empty", 0)).toMatchObject([{ value: "" }]);
    });

    test("names that no store takes are refused alike by every call", async () => {
      const claim = await fence();
      const { lock, log, semaphores } = store();
      for (const [name, code] of REFUSED) {
        const calls = [
          lock.read(name),
          lock.acquire({ ...takeOver, name }),
          lock.acquire({ ...takeOver, name: "fine", writer: name }),
          lock.renew(name, 1),
          lock.release(name, 1),
          log.append([entry("k", "1", "v")], { ...claim, name }),
          log.append([{ ...entry("k", "1", "v"), leader: name }], null),
          semaphores.change(taking({}, name), claim),
          semaphores.change(taking({}), { ...claim, name }),
          semaphores.change(taking({ owner: name }), claim),
          semaphores.change(taking({ holder: name }), claim),
          semaphores.change(taking({ grant: name }), claim),
          semaphores.change(
            [{ semaphore: "s", limit: 1, release: [{ owner: name, grant: "g" }], acquire: [] }],
            claim,
          ),
          semaphores.read(name),
        ];
        for (const call of lookedAtLater(calls)) await expectCode(call, code);
      }
      expect(await lock.read("fine")).toBeNull();
      expect(await log.read("k", -1)).toEqual([]);
    });

    test("entries that no store takes are refused, and nothing of their batch is written", async () => {
      const { log } = store();
      const bad: readonly (readonly [Partial<ReturnType<typeof entry>>, ErrorCode])[] = [
        [{ key: "" }, "invalid_argument"],
        [{ key: "\uD800" }, "invalid_argument"],
        [{ key: "k".repeat(MAX_KEY_BYTES + 1) }, "too_large"],
        [{ key: "é".repeat(MAX_KEY_BYTES / 2 + 1) }, "too_large"],
        [{ id: "" }, "invalid_argument"],
        [{ id: "limit=3" }, "invalid_argument"],
        [{ id: "\uDFFF" }, "invalid_argument"],
        [{ id: "i".repeat(MAX_ID_BYTES + 1) }, "too_large"],
        [{ value: "\uD800" }, "invalid_argument"],
        [{ value: "v".repeat(MAX_VALUE_BYTES + 1) }, "too_large"],
      ];
      for (const [change, code] of bad) {
        const batch = [entry("fine", "1", "v"), { ...entry("bad", "1", "v"), ...change }];
        await expectCode(log.append(batch, null), code);
        expect(await log.read("fine", -1)).toEqual([]);
      }
      await expectCode(log.read("", 0), "invalid_argument");
      await expectCode(log.read("\uD800", 0), "invalid_argument");
      await expectCode(log.read("k".repeat(MAX_KEY_BYTES + 1), 0), "too_large");
    });

    test("numbers that no store takes are refused", async () => {
      const noPermits = { semaphore: "s", limit: 1, release: [], acquire: [] };
      const claim = await fence();
      const { lock, log, semaphores } = store();
      for (const wrong of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        const calls = [
          lock.renew("demo", wrong),
          lock.release("demo", wrong),
          lock.acquire({ ...takeOver, name: "demo", expectedToken: wrong }),
          log.append([], { ...claim, token: wrong }),
          semaphores.change([{ ...noPermits, limit: wrong }], claim),
          semaphores.change(taking({ incarnation: wrong }), claim),
        ];
        for (const call of lookedAtLater(calls)) await expectCode(call, "invalid_argument");
      }
      const none = semaphores.change([{ ...noPermits, limit: 0 }], claim);
      await expectCode(none, "invalid_argument");
      for (const minAgeMs of [-1, Number.NaN]) {
        await expectCode(lock.acquire({ ...takeOver, name: "demo", minAgeMs }), "invalid_argument");
      }
    });
  });
}
