import { ERROR_CODES, HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { publicError } from "../rpc/errors.ts";

/** HTTP status of an error, by the one table. */
export function statusOf(error: unknown): number {
  return ERROR_CODES[HedgerowError.from(error).code].http;
}

/** What the caller sees of a failure; of a defect only that it is one, the rest is in the log. */
export function failure(
  error: unknown,
  logger: Logger,
  respond: (status: number, text: string) => Response,
): Response {
  const seen = publicError(error);
  if (seen.code === "internal") logger.error("http request failed", { error: messageOf(error) });
  return respond(statusOf(seen), seen.message);
}
