import { describe, expect, test } from "bun:test";
import { boundedWrite } from "../../src/observe/bounded.ts";
import { formatJson, formatPretty, type LogLine, oneLine } from "../../src/observe/format.ts";
import { createLogger } from "../../src/observe/logtape.ts";

const line: LogLine = {
  timeMs: Date.parse("2025-01-02T03:04:05.678Z"),
  level: "warn",
  message: "lock not readable",
  fields: {
    leader: "10.0.0.1:8080",
    ms: 12,
    none: undefined,
    error: 'said "no"\nand left',
    empty: "",
  },
};

describe("formats", () => {
  test("pretty is one line", () => {
    expect(formatPretty(line)).toBe(
      '2025-01-02T03:04:05.678Z WARN  lock not readable  leader=10.0.0.1:8080 ms=12 error="said \\"no\\"\\nand left" empty=""',
    );
  });

  test("json is one object", () => {
    expect(JSON.parse(formatJson(line))).toEqual({
      time: "2025-01-02T03:04:05.678Z",
      level: "warn",
      severity: "WARNING",
      message: "lock not readable",
      leader: "10.0.0.1:8080",
      ms: 12,
      error: 'said "no"\nand left',
      empty: "",
    });
    expect(formatJson(line)).not.toContain("\n");
  });

  test.each([
    ["debug", "DEBUG"],
    ["info", "INFO"],
    ["warn", "WARNING"],
    ["error", "ERROR"],
  ] as const)("%s has the severity that Google Cloud calls %s", (level, severity) => {
    expect(JSON.parse(formatJson({ ...line, level }))).toMatchObject({ level, severity });
  });

  test("a field cannot pass itself off as the level", () => {
    const forged = {
      ...line,
      fields: { level: "debug", severity: "DEBUG", time: "never", message: "m" },
    };
    expect(JSON.parse(formatJson(forged))).toMatchObject({
      level: "warn",
      level_: "debug",
      severity: "WARNING",
      severity_: "DEBUG",
      time_: "never",
      message_: "m",
    });
  });

  test("no text forges a line or drives the terminal", () => {
    const evil = "a\r\nb\u001b[2Jc\u0085d\u2028e\u0000\tf";
    expect(oneLine(evil)).toBe("a\\r\\nb\\u001b[2Jc\\u0085d\\u2028e\\u0000\\tf");
    for (const text of [evil, formatPretty({ ...line, message: evil, fields: { evil } })]) {
      expect(oneLine(text)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
    }
  });
});

describe("createLogger", () => {
  const levels = ["debug", "info", "warn", "error"] as const;

  test.each(levels)("at level %s writes that level and those above", (level) => {
    const lines: string[] = [];
    const logger = createLogger({ level, format: "json", write: (text) => lines.push(text) });
    for (const each of levels) logger[each]("happened", { each });
    const written = lines.map((text) => JSON.parse(text).level);
    expect(written).toEqual(levels.slice(levels.indexOf(level)));
  });

  test("takes a message for text, not for a template", () => {
    const lines: string[] = [];
    const logger = createLogger({
      level: "info",
      format: "json",
      write: (text) => lines.push(text),
    });
    logger.info("odd {name} {{x}} {", { name: "filled in" });
    expect(JSON.parse(lines.join("")).message).toBe("odd {name} {{x}} {");
  });
});

test("a reader that stalls costs lines, not memory, and is told how many", () => {
  const written: string[] = [];
  let pending = 0;
  const write = boundedWrite(
    { write: (text) => written.push(text), pendingBytes: () => pending },
    100,
  );
  write("one\n");
  pending = 101;
  write("two\n");
  write("three\n");
  pending = 0;
  write("four\n");
  write("five\n");
  expect(written).toEqual([
    "one\n",
    "2 log lines were dropped here: nobody read them in time\n",
    "four\n",
    "five\n",
  ]);
});
