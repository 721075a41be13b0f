import { HedgerowError } from "../../errors.ts";
import { discardPart } from "../../runtime/discard.ts";
import { errorFromFetch } from "../errors.ts";
import type { Address } from "../port.ts";
import type { TlsMaterial } from "../tls.ts";
import type { Exchange } from "./exchange.ts";
import type { Outgoing } from "./frame-writer.ts";
import { Http1Answer } from "./http1-answer.ts";
import { type Connection, type ConnectionSink, connect } from "./connection.ts";

const NEW_LINE = "\r\n";
const LENGTH_DIGITS = 8;
/** Before each piece of the body, which is a chunk: the end of the chunk before, its length, a new line. */
export const CHUNK_ROOM = NEW_LINE.length + LENGTH_DIGITS + NEW_LINE.length;
const LAST_CHUNK = "0\r\n\r\n";
const utf8 = new TextEncoder();

/**
 * One request of HTTP/1.1 on a socket of its own; resolves at the end of the answer. Bun's fetch would copy each byte
 * once more and pass it between threads, which halves what a stream carries (measured), and it has 256 requests in all.
 */
export async function exchangeOverSocket(
  address: Address,
  path: string,
  tls: TlsMaterial | null,
  exchange: Exchange,
): Promise<void> {
  const over = Promise.withResolvers<void>();
  over.promise.catch(() => {}); // thrown below, unless the connection was not made
  let isKept = false;
  const answer = new Http1Answer({
    head: (status, headers) => exchange.answered(status, headers),
    data: (bytes) => {
      if (!exchange.receive(bytes)) isKept = true;
    },
    end: () => over.resolve(),
  });
  const sink: ConnectionSink = {
    data: (bytes) => {
      isKept = false;
      try {
        answer.push(bytes);
        if (!isKept) discardPart(bytes);
      } catch (error) {
        over.reject(error);
      }
    },
    failed: (error) => over.reject(errorFromFetch(error, address)),
    closed: () => (answer.mayEnd ? over.resolve() : over.reject(closed(address))),
  };
  const connection = await connect(address, tls, sink, exchange.signal);
  const abort = () => over.reject(exchange.signal.reason as Error);
  exchange.signal.addEventListener("abort", abort, { once: true });
  send(connection, address, path, exchange).catch(over.reject);
  try {
    if (exchange.signal.aborted) abort();
    await over.promise;
  } finally {
    exchange.signal.removeEventListener("abort", abort);
    connection.close();
  }
}

async function send(
  connection: Connection,
  address: Address,
  path: string,
  { headers, next }: Exchange,
): Promise<void> {
  const lines = Object.entries({ host: address, ...headers, "transfer-encoding": "chunked" });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  await connection.write(utf8.encode(`POST ${path} HTTP/1.1\r\n${head}\r\n`));
  let before = "";
  for (let piece = await next(); piece !== null; piece = await next()) {
    await connection.write(chunkHead(piece, before));
    if (piece.body !== null) await connection.write(piece.body);
    before = NEW_LINE;
  }
  await connection.write(utf8.encode(before + LAST_CHUNK));
}

/** Written in the room before it, so that it leaves in one piece. */
function chunkHead({ head, body }: Outgoing, before: string): Uint8Array<ArrayBuffer> {
  const length = head.length - CHUNK_ROOM + (body?.length ?? 0);
  const line = `${before}${length.toString(16).padStart(LENGTH_DIGITS, "0")}${NEW_LINE}`;
  const whole = head.subarray(CHUNK_ROOM - line.length);
  utf8.encodeInto(line, whole);
  return whole;
}

function closed(address: Address): HedgerowError {
  return new HedgerowError("outcome_unknown", `the connection to ${address} was closed`);
}
