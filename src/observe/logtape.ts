import { configureSync, getLogger, type LogRecord } from "@logtape/logtape";
import { formatJson, formatPretty, type LogFormat, type LogLevel } from "./format.ts";
import type { LogFields, Logger } from "./logger.ts";

export interface LogOptions {
  /** The least level that is written. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Takes one whole line, its end included. */
  readonly write: (line: string) => void;
}

const CATEGORY = "hedgerow";

/**
 * The logger of a Hedgerow process. It configures LogTape for the whole process, so only programs call
 * it; the library takes a `Logger` of its user's.
 */
export function createLogger(options: LogOptions): Logger {
  const format = options.format === "json" ? formatJson : formatPretty;
  const stderr = (record: LogRecord) =>
    options.write(
      `${format({
        timeMs: record.timestamp,
        level: levelOf(record),
        // The text as it was given: our messages are no templates, and braces in them mean nothing.
        message: String(record.rawMessage),
        fields: record.properties as LogFields,
      })}\n`,
    );
  configureSync({
    reset: true,
    sinks: { stderr },
    loggers: [
      {
        category: CATEGORY,
        lowestLevel: options.level === "warn" ? "warning" : options.level,
        sinks: ["stderr"],
      },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["stderr"] },
    ],
  });
  const logger = getLogger(CATEGORY);
  return {
    debug: (message, fields = {}) => logger.debug(message, fields),
    info: (message, fields = {}) => logger.info(message, fields),
    warn: (message, fields = {}) => logger.warning(message, fields),
    error: (message, fields = {}) => logger.error(message, fields),
  };
}

function levelOf(record: LogRecord): LogLevel {
  switch (record.level) {
    case "trace":
    case "debug":
      return "debug";
    case "info":
      return "info";
    case "warning":
      return "warn";
    case "error":
    case "fatal":
      return "error";
  }
}
