import { HedgerowError } from "../../errors.ts";

/** Of the head, and of all that comes before it. */
const MAX_HEAD_BYTES = 16 * 1024;
const MAX_LINE_CHARS = 64;
const HEAD_END = "\r\n\r\n";
const NEW_LINE = 10;

export interface AnswerSink {
  head(status: number, headers: Headers): void;
  data(bytes: Uint8Array): void;
  end(): void;
}

type State = "head" | "size" | "data" | "rest" | "over";

/**
 * Reads an answer of HTTP/1.1 (RFC 9112) as it comes: its head, then a body in chunks, of a length, or up to the end of
 * the connection. Throws `outcome_unknown` for what is none.
 */
export class Http1Answer {
  #state: State = "head";
  #head = Buffer.alloc(0);
  #headBytes = 0;
  /** The line that says how long the next chunk is, as far as it has come. */
  #line = "";
  #chunked = false;
  /** Bytes of the chunk, or of the whole body, that are to come. */
  #left = 0;

  constructor(private readonly sink: AnswerSink) {}

  /** Whether the end of the connection is the end of the answer, and not a cut. */
  get mayEnd(): boolean {
    return this.#state === "rest" || this.#state === "over";
  }

  push(bytes: Buffer): void {
    for (let at = 0; at < bytes.length && this.#state !== "over";) {
      if (this.#state === "head") at = this.#readHead(bytes, at);
      else if (this.#state === "size") at = this.#readSize(bytes, at);
      else at = this.#readData(bytes, at);
    }
  }

  #readHead(bytes: Buffer, at: number): number {
    const before = this.#head.length;
    this.#head = Buffer.concat([this.#head, bytes.subarray(at, at + MAX_HEAD_BYTES)]);
    const end = this.#head.indexOf(HEAD_END);
    const length = end === -1 ? this.#head.length : end + HEAD_END.length;
    if (this.#headBytes + length > MAX_HEAD_BYTES) throw malformed("the head is too long");
    if (end === -1) return at + length - before;
    this.#headBytes += length;
    const [first = "", ...lines] = this.#head.toString("latin1", 0, end).split("\r\n");
    this.#head = Buffer.alloc(0);
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1];
    if (status === undefined) throw malformed("no status line");
    // 1xx comes before the answer.
    if (!status.startsWith("1")) this.#begin(Number(status), headersOf(lines));
    return at + length - before;
  }

  #begin(status: number, headers: Headers): void {
    const length = headers.get("content-length");
    if (length !== null && !/^\d+$/.test(length)) throw malformed("no such length");
    this.#chunked = headers.get("transfer-encoding")?.toLowerCase() === "chunked";
    this.#left = this.#chunked || length === null ? Infinity : Number(length);
    this.#state = this.#chunked ? "size" : length === null ? "rest" : "data";
    this.sink.head(status, headers);
    if (this.#left === 0) this.#finish();
  }

  #readSize(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(NEW_LINE, at);
    this.#line += bytes.toString("latin1", at, end === -1 ? bytes.length : end);
    if (this.#line.length > MAX_LINE_CHARS) throw malformed("the length of a chunk is too long");
    if (end === -1) return bytes.length;
    const line = this.#line.trim();
    this.#line = "";
    if (line === "") return end + 1; // it ends the chunk before
    if (!/^[0-9a-fA-F]{1,12}(;|$)/.test(line)) throw malformed("no length of a chunk");
    this.#left = Number.parseInt(line, 16);
    if (this.#left === 0) this.#finish();
    else this.#state = "data";
    return end + 1;
  }

  #readData(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    this.sink.data(bytes.subarray(at, end));
    if (this.#left === 0 && this.#state === "data") {
      if (this.#chunked) this.#state = "size";
      else this.#finish();
    }
    return end;
  }

  #finish(): void {
    this.#state = "over";
    this.sink.end();
  }
}

function headersOf(lines: readonly string[]): Headers {
  const headers = new Headers();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) throw malformed("no header");
    try {
      headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
    } catch {
      throw malformed("no header"); // its name, or its value, is none
    }
  }
  return headers;
}

function malformed(what: string): HedgerowError {
  return new HedgerowError("outcome_unknown", `what answered does not speak HTTP/1.1: ${what}`);
}
