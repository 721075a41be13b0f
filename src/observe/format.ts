import type { LogFields } from "./logger.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ["pretty", "json"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

export interface LogLine {
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** One line without its end: `2025-01-02T03:04:05.123Z INFO  joined  leader=10.0.0.1:8080`. */
export function formatPretty(line: LogLine): string {
  const head = `${iso(line.timeMs)} ${line.level.toUpperCase().padEnd(5)} ${oneLine(line.message)}`;
  const fields = definedFields(line.fields).map(
    ([name, value]) => `${name}=${quoted(String(value))}`,
  );
  return fields.length === 0 ? head : `${head}  ${fields.join(" ")}`;
}

/** As Google Cloud's logs name the levels: without it they take every line for an error, or for none. */
const SEVERITIES: Readonly<Record<LogLevel, string>> = {
  debug: "DEBUG",
  info: "INFO",
  warn: "WARNING",
  error: "ERROR",
};

/** Names that are not a field's: one must not pass itself off as the level. */
const OWN_NAMES: ReadonlySet<string> = new Set(["time", "level", "severity", "message"]);

/** One JSON object without a line end: time, level, severity, message, then the fields. */
export function formatJson(line: LogLine): string {
  const { level, message, fields } = line;
  const severity = SEVERITIES[level];
  return JSON.stringify({ time: iso(line.timeMs), level, severity, message, ...renamed(fields) });
}

function renamed(fields: LogFields): Record<string, unknown> {
  const named = definedFields(fields).map(([name, value]) => [
    OWN_NAMES.has(name) ? `${name}_` : name,
    value,
  ]);
  return Object.fromEntries(named);
}

function definedFields(fields: LogFields): [string, string | number | boolean | null][] {
  return Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

function quoted(text: string): string {
  return text === "" || /[\s"=]/.test(text) || hasControl(text)
    ? oneLine(JSON.stringify(text))
    : text;
}

/** The text with control characters escaped, so that nobody forges a line or drives the terminal. */
export function oneLine(text: string): string {
  return hasControl(text) ? text.replace(CONTROL, escapeCharacter) : text;
}

// C0, DEL, C1, and the two line separators of Unicode.
const CONTROL = /[\p{Cc}\u2028\u2029]/gu;

function hasControl(text: string): boolean {
  return text.search(CONTROL) !== -1;
}

function escapeCharacter(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  if (character === "\r") return "\\r";
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
