import { describe, expect, test } from "bun:test";
import { resolveFlags } from "../../src/cli/flag.ts";
import { splitAddress } from "../../src/node/address.ts";
import { parseDuration } from "../../src/node/duration.ts";
import { parseSize } from "../../src/node/size.ts";
import { checkOptions } from "../../src/node/options.ts";
import { parseStore } from "../../src/store/open.ts";
import { boundMs, rounds } from "./kit/rounds.ts";
import { expectUsageError, specs, typed } from "./kit/typed.ts";

// What is typed, or set: each value is understood, or refused in one line that says what to give.

test(
  "every flag of every command takes any text, or says what to give instead",
  async () => {
    const commands = await specs();
    const taken = new Set<string>();
    const refused = new Set<string>();
    rounds(60, (prng) => {
      for (const [command, { flags }] of commands) {
        for (const key of Object.keys(flags)) {
          const given = typed(prng);
          try {
            const byFlag = resolveFlags(flags, { [key]: given }, {})[key];
            expect(typeof byFlag === "number" && !Number.isFinite(byFlag)).toBe(false);
            taken.add(key);
          } catch (error) {
            expectUsageError(error, `${command} --${key} ${JSON.stringify(given)}`);
            refused.add(key);
          }
        }
      }
    });
    expect(taken.size).toBeGreaterThan(20);
    expect(refused.size).toBeGreaterThan(20);
  },
  boundMs(30_000),
);

describe("parsers alone", () => {
  const PARSERS: Readonly<Record<string, (given: string) => unknown>> = {
    parseDuration,
    parseSize,
    splitAddress,
    parseStore,
    checkOptions: (given) => checkOptions({ lease: given, name: given, store: given }),
  };
  for (const [name, parse] of Object.entries(PARSERS)) {
    test(
      `${name} gives a value or a typed error`,
      () => {
        rounds(1_000, (prng) => {
          const given = typed(prng);
          try {
            parse(given);
          } catch (error) {
            expectUsageError(error, `${name} of ${JSON.stringify(given)}`);
          }
        });
      },
      boundMs(30_000),
    );
  }
});

test(
  "options of any kind are taken, or named with what they must be",
  () => {
    const values = [
      null,
      undefined,
      true,
      7,
      -1,
      1.5,
      Number.NaN,
      Infinity,
      "30s",
      "",
      {},
      [],
      () => {},
      7n,
    ];
    const keys = Object.keys(checkOptions({})).concat(
      "lease",
      "syncInterval",
      "keepAge",
      "nonsense",
    );
    rounds(1_000, (prng) => {
      const options = Object.fromEntries(
        Array.from({ length: 1 + prng.int(3) }, () => [prng.pick(keys), prng.pick(values)]),
      );
      try {
        checkOptions(options);
      } catch (error) {
        expectUsageError(error, `options ${Object.keys(options)}`);
      }
    });
  },
  boundMs(30_000),
);
