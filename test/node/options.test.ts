import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { parseDuration } from "../../src/node/duration.ts";
import { checkOptions, type HedgerowOptions } from "../../src/node/options.ts";

function messageFor(options: unknown): string {
  try {
    checkOptions(options as HedgerowOptions);
  } catch (error) {
    if (HedgerowError.is(error, "invalid_argument")) return error.message;
    throw error;
  }
  throw new Error("the options were taken");
}

test("without options a node has the defaults that are documented", () => {
  expect(checkOptions({})).toMatchObject({
    store: "sqlite:./hedgerow.db",
    address: null,
    lockTable: "locktable",
    lockName: "hedgerow",
    logTable: "logtable",
    label: "locktable/hedgerow",
    leaseMs: 30_000,
    tls: "auto",
  });
});

test("durations are milliseconds or text with a unit", () => {
  expect(checkOptions({ lease: "2s" }).leaseMs).toBe(2_000);
  expect(checkOptions({ lease: 2_500 }).leaseMs).toBe(2_500);
  expect(parseDuration("1.5m")).toBe(90_000);
  expect(parseDuration("500ms")).toBe(500);
  for (const wrong of ["", "2", "s", "2 days", "-2s", "1e3s", `${"9".repeat(400)}h`])
    expect(parseDuration(wrong)).toBeNull();
});

test("what stays of a key's versions: all, the newest, those of an age, or both", () => {
  expect(checkOptions({}).retention).toBeNull();
  const retention = (options: HedgerowOptions) => checkOptions(options).retention;
  expect(retention({ keepVersions: 5 })).toEqual({ keepVersions: 5, keepAgeMs: null });
  expect(retention({ keepAge: "720h" })).toEqual({ keepVersions: 1, keepAgeMs: 2_592_000_000 });
  const both = { keepVersions: 3, keepAge: 60_000 };
  expect(retention(both)).toEqual({ keepVersions: 3, keepAgeMs: 60_000 });
});

test("each wrong option is one line that names it", () => {
  for (const [options, named] of [
    [{ lease: "1s" }, /^lease: must be from 2s/],
    [{ lease: "soon" }, /^lease: soon is no duration/],
    [{ lease: Number.NaN }, /^lease: /],
    [{ syncInterval: 10 }, /^syncInterval: must be from 2s/],
    [{ keepVersions: 0 }, /^keepVersions: /],
    [{ keepVersions: 1.5 }, /^keepVersions: /],
    [{ keepVersions: 10_001 }, /^keepVersions: /],
    [{ keepAge: "59s" }, /^keepAge: must be a minute or more/],
    [{ keepAge: "old" }, /^keepAge: old is no duration/],
    [{ lockTable: "a b" }, /^lockTable: must be letters/],
    [{ lockName: "x".repeat(1025) }, /^lockName: name is 1025 bytes/],
    [{ tls: "maybe" }, /^tls: /],
    [{ onSend: "hello" }, /^onSend: must be a function/],
    [{ leese: "2s" }, /leese/],
    [{ logTable: "" }, /--tls files\) or "none" \(--tls none\)/],
  ] as const) {
    expect(messageFor(options)).toMatch(named);
    expect(messageFor(options)).not.toContain("\n");
  }
});
