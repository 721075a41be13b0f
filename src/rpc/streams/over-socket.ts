import type { Socket } from "node:net";
import { HedgerowError } from "../../errors.ts";
import { NODE_DNS_NAME } from "../certificates.ts";
import { errorFromFetch } from "../errors.ts";
import type { Address } from "../port.ts";
import type { TlsMaterial } from "../tls.ts";
import type { Exchange } from "./exchange.ts";
import type { Outgoing } from "./frame-writer.ts";
import { Http1Answer } from "./http1-answer.ts";

/** Before each piece of the body, which is a chunk: the end of the one before, eight digits of its length, a new line. */
const LENGTH_DIGITS = 8;
const NEW_LINE = "\r\n";
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
  exchange.signal.throwIfAborted();
  const socket = await connect(address, tls);
  const over = Promise.withResolvers<void>();
  const abort = () => over.reject(exchange.signal.reason as Error);
  exchange.signal.addEventListener("abort", abort, { once: true });
  const answer = new Http1Answer({
    head: (status, headers) => exchange.answered(status, headers),
    data: (bytes) => exchange.receive(bytes),
    end: () => over.resolve(),
  });
  socket.on("data", (bytes: Buffer) => {
    try {
      answer.push(bytes);
    } catch (error) {
      over.reject(error);
    }
  });
  socket.on("error", (error) => over.reject(errorFromFetch(error, address)));
  socket.on("close", () => (answer.mayEnd ? over.resolve() : over.reject(closed(address))));
  send(socket, address, path, exchange).catch(over.reject);
  try {
    if (exchange.signal.aborted) abort();
    await over.promise;
  } finally {
    exchange.signal.removeEventListener("abort", abort);
    socket.destroy();
  }
}

/** Throws `unavailable`: nothing has been sent. */
async function connect(address: Address, tls: TlsMaterial | null): Promise<Socket> {
  const colon = address.lastIndexOf(":");
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
  const port = Number(address.slice(colon + 1));
  // Loaded with the first stream: a node without streams does without them.
  const socket =
    tls === null
      ? (await import("node:net")).connect({ host, port })
      : (await import("node:tls")).connect({
          host,
          port,
          key: tls.key,
          cert: tls.cert,
          ca: [...tls.ca],
          servername: NODE_DNS_NAME,
          rejectUnauthorized: true,
          ALPNProtocols: ["http/1.1"],
        });
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => {
    const failed = (error: Error) => {
      const { message } = errorFromFetch(error, address);
      reject(new HedgerowError("unavailable", message, { cause: error }));
    };
    socket.once("error", failed);
    socket.once(tls === null ? "connect" : "secureConnect", () => {
      socket.off("error", failed);
      resolve(socket);
    });
  });
}

async function send(
  socket: Socket,
  address: Address,
  path: string,
  { headers, next }: Exchange,
): Promise<void> {
  const lines = Object.entries({ host: address, ...headers, "transfer-encoding": "chunked" });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.write(`POST ${path} HTTP/1.1\r\n${head}\r\n`);
  let before = "";
  for (let piece = await next(); piece !== null; piece = await next()) {
    let takesMore = socket.write(chunkHead(piece, before));
    if (piece.body !== null) takesMore = socket.write(piece.body);
    if (!takesMore) await drained(socket);
    before = NEW_LINE;
  }
  socket.write(before + LAST_CHUNK);
}

/** Written in the room before it, so that it leaves in one piece. */
function chunkHead({ head, body }: Outgoing, before: string): Uint8Array<ArrayBuffer> {
  const length = head.length - CHUNK_ROOM + (body?.length ?? 0);
  const line = `${before}${length.toString(16).padStart(LENGTH_DIGITS, "0")}${NEW_LINE}`;
  const whole = head.subarray(CHUNK_ROOM - line.length);
  utf8.encodeInto(line, whole);
  return whole;
}

/** Resolves also when the socket is closed: whoever writes then is told by the answer's end. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.once("drain", done);
    socket.once("close", done);
  });
}

function closed(address: Address): HedgerowError {
  return new HedgerowError("outcome_unknown", `the connection to ${address} was closed`);
}
