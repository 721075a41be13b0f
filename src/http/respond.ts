import { ERROR_CODES, HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { publicError } from "../rpc/errors.ts";

/** One line of plain text. */
export function line(status: number, text: string): Response {
  return plain(status, `${text}\n`);
}

export function plain(status: number, text: string): Response {
  return new Response(text, {
    status,
    headers: {
      "content-type": "text/plain; charset=utf-8",
      // Values are anybody's text: no browser may take one for a page.
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    },
  });
}

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
