// Streams of the client API as Connect has them (connectrpc.com/docs/protocol), in JSON over HTTP/2 in plain text.
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";

const STREAMS_A_CONNECTION = 100;
const HEADER_BYTES = 5;
const END_OF_STREAM = 2;

/** How a stream ended: "well", the code of its error, or "cut" without a word. */
export type End = string;

function envelope(message: object): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(json.length, 1);
  return Buffer.concat([header, json]);
}

/** A stream under way: texts go to it, texts come from it. */
export class ClientStream {
  readonly received: string[] = [];
  end: End | null = null;
  /** Called with each message. */
  onMessage: (text: string) => void = () => {};
  readonly #ended = Promise.withResolvers<End>();
  #rest = Buffer.alloc(0);

  constructor(private readonly stream: ClientHttp2Stream) {
    stream.on("data", (chunk: Buffer) => this.#read(chunk));
    stream.on("error", () => this.#over("cut"));
    stream.on("close", () => this.#over("cut"));
  }

  get ended(): Promise<End> {
    return this.#ended.promise;
  }

  /** Resolves when the connection takes more. */
  async send(text: string): Promise<void> {
    if (this.end !== null) return;
    const data = Buffer.from(text).toString("base64");
    if (this.stream.write(envelope({ data }))) return;
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

  #over(end: End): void {
    this.end ??= end;
    this.#ended.resolve(this.end);
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + this.#rest.readUInt32BE(1);
      if (this.#rest.length < end) return;
      const message = JSON.parse(this.#rest.toString("utf8", HEADER_BYTES, end)) as {
        data?: string;
        error?: { code: string };
      };
      const isEnd = this.#rest[0] === END_OF_STREAM;
      this.#rest = this.#rest.subarray(end);
      if (isEnd) this.#over(message.error?.code ?? "well");
      if (this.end !== null) return;
      const text = Buffer.from(message.data ?? "", "base64").toString();
      this.received.push(text);
      this.onMessage(text);
    }
  }
}

/** Opens streams to one node; disposing closes its connections. */
export class StreamClient implements Disposable {
  readonly #sessions: ClientHttp2Session[] = [];
  #opened = 0;

  constructor(private readonly url: string) {}

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
      "content-type": "application/connect+json",
      "connect-protocol-version": "1",
    });
    return new ClientStream(stream);
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions) session.destroy();
  }
}
