import { HedgerowError } from "../errors.ts";

/** The whole body of a request or response. Throws `too_large` as soon as it is known to be. */
export function readBody(
  message: Request | Response,
  what: "request" | "reply",
  maxBytes: number,
): Promise<Uint8Array> {
  const declared = message.headers.get("content-length");
  if (declared === null) return readUndeclared(message, what, maxBytes);
  if (Number(declared) <= maxBytes) return message.bytes();
  return refuse(message, what, maxBytes);
}

/** A body of unknown length, counted while it comes. */
async function readUndeclared(
  message: Request | Response,
  what: string,
  maxBytes: number,
): Promise<Uint8Array> {
  if (message.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop early cancels the body.
  for await (const chunk of message.body) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooLarge(what, maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function refuse(message: Request | Response, what: string, maxBytes: number): Promise<never> {
  await message.body?.cancel();
  throw tooLarge(what, maxBytes);
}

function tooLarge(what: string, maxBytes: number): HedgerowError {
  return new HedgerowError("too_large", `the ${what} is over ${maxBytes} bytes: shorten it`);
}
