// Streams of the client API over HTTP/2 in plain text, as Connect has them (connectrpc.com/docs/protocol), in JSON, and as
// gRPC has them (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md), in protobuf.
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";

const STREAMS_A_CONNECTION = 100;
const HEADER_BYTES = 5;
const END_OF_STREAM = 2;

/** How a stream ended: "well", the code of its error, or "cut" without a word. */
export type End = string;

export type Protocol = "connect" | "grpc";

/** The first field of all messages here, bytes, if they are fewer than 128. */
const DATA = 0x0a;
const MAX_GRPC_TEXT = 127;

function envelope(protocol: Protocol, text: string): Buffer {
  const message = protocol === "grpc" ? protobuf(text) : json(text);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

function json(text: string): Buffer {
  return Buffer.from(JSON.stringify({ data: Buffer.from(text).toString("base64") }));
}

function protobuf(text: string): Buffer {
  const data = Buffer.from(text);
  if (data.length > MAX_GRPC_TEXT) throw new Error("a text is too long for this client");
  return Buffer.concat([Uint8Array.of(DATA, data.length), data]);
}

/** A stream under way: texts go to it, texts come from it. */
export class ClientStream {
  readonly received: string[] = [];
  end: End | null = null;
  /** Called with each message. */
  onMessage: (text: string) => void = () => {};
  readonly #ended = Promise.withResolvers<End>();
  #rest = Buffer.alloc(0);

  constructor(
    private readonly stream: ClientHttp2Stream,
    private readonly protocol: Protocol,
  ) {
    stream.on("data", (chunk: Buffer) => this.#read(chunk));
    stream.on("trailers", (trailers: Record<string, unknown>) => {
      const status = String(trailers["grpc-status"]);
      this.#over(status === "0" ? "well" : status);
    });
    stream.on("error", () => this.#over("cut"));
    stream.on("close", () => this.#over("cut"));
  }

  get ended(): Promise<End> {
    return this.#ended.promise;
  }

  /** Resolves when the connection takes more. */
  async send(text: string): Promise<void> {
    if (this.end !== null) return;
    if (this.stream.write(envelope(this.protocol, text))) return;
    const room = new Promise((resolve) => this.stream.once("drain", resolve));
    await Promise.race([room, this.ended]);
  }

  finish(): void {
    this.stream.end();
  }

  /** Reads no more, as a stalled program does. */
  stall(): void {
    this.stream.pause();
  }

  /** Ends it from this side, unread or not. */
  cut(): void {
    this.#over("cut");
    this.stream.destroy();
  }

  #text(message: Buffer, isEnd: boolean): string {
    if (this.protocol === "grpc") return message.toString("utf8", 2);
    const { data = "", error } = JSON.parse(message.toString()) as {
      data?: string;
      error?: { code: string };
    };
    if (isEnd) this.#over(error?.code ?? "well");
    return Buffer.from(data, "base64").toString();
  }

  #over(end: End): void {
    this.end ??= end;
    this.#ended.resolve(this.end);
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + this.#rest.readUInt32BE(1);
      if (this.#rest.length < end) return;
      const message = this.#rest.subarray(HEADER_BYTES, end);
      const isEnd = this.#rest[0] === END_OF_STREAM;
      this.#rest = this.#rest.subarray(end);
      const text = this.#text(message, isEnd);
      if (this.end !== null) return;
      this.received.push(text);
      this.onMessage(text);
    }
  }
}

/** Opens streams to one node; disposing closes its connections. */
export class StreamClient implements Disposable {
  readonly #sessions: ClientHttp2Session[] = [];
  #opened = 0;

  constructor(
    private readonly url: string,
    private readonly protocol: Protocol = "connect",
  ) {}

  open(method: "StreamToLeader" | "StreamBroadcast"): ClientStream {
    if (this.#opened++ % STREAMS_A_CONNECTION === 0) {
      const session = connect(this.url);
      session.on("error", () => {}); // its streams say so
      this.#sessions.push(session);
    }
    const session = this.#sessions.at(-1) as ClientHttp2Session;
    const stream = session.request({
      ":method": "POST",
      ":path": `/hedgerow.v1.HedgerowService/${method}`,
      ...(this.protocol === "grpc"
        ? { "content-type": "application/grpc", te: "trailers" }
        : { "content-type": "application/connect+json", "connect-protocol-version": "1" }),
    });
    return new ClientStream(stream, this.protocol);
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions) session.destroy();
  }
}
