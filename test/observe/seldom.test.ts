import { expect, test } from "bun:test";
import type { LogFields, Logger } from "../../src/observe/logger.ts";
import { SeldomWarner } from "../../src/observe/seldom.ts";
import { Machine } from "../simulation/world/machine.ts";
import { Scheduler } from "../simulation/world/scheduler.ts";

test("of each kind one warning in ten seconds, with how often it came; the others are debug lines", () => {
  const scheduler = new Scheduler();
  const lines: [string, string, LogFields | undefined][] = [];
  const at = (level: string) => (message: string, fields?: LogFields) =>
    void lines.push([level, message, fields]);
  const logger: Logger = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
  };
  const warner = new SeldomWarner(new Machine(scheduler), logger);
  for (let ms = 0; ms < 25_000; ms += 250) {
    scheduler.runUntil(ms);
    warner.warn("full", "not written", { code: "store_failed" });
    if (ms === 1_000) warner.warn("late", "not written", { code: "timeout" });
  }
  expect(lines.filter(([level]) => level === "warn")).toEqual([
    ["warn", "not written", { code: "store_failed" }],
    ["warn", "not written", { code: "timeout" }],
    ["warn", "not written", { code: "store_failed", times: 40 }],
    ["warn", "not written", { code: "store_failed", times: 40 }],
  ]);
  expect(lines.filter(([level]) => level === "debug")).toHaveLength(97);
});
