// The limit of a stream between two processes: length-prefixed frames on one TCP connection, in writes of 64 KiB or
// more, each message taken out of them whole. With and without TLS.
import { playRole } from "../roles.ts";
import { FrameReader, frameOf } from "./frames.ts";
import { makeTls } from "./peers.ts";

const WRITE_BYTES = 64 * 1024;
const ASK_BYTES = 16;

/** As many frames of a message as make a write, again and again until the time is over; then an empty one. */
class Sender {
  readonly #write: Buffer;
  readonly #end: number;
  readonly #done = Promise.withResolvers<void>();
  #rest: Buffer | null = null;
  #ended = false;
  sent = 0;

  constructor(
    private readonly socket: Bun.Socket<unknown>,
    bytes: number,
    seconds: number,
  ) {
    const frame = frameOf(1, Buffer.alloc(bytes, 7));
    const frames = Math.max(1, Math.floor(WRITE_BYTES / frame.length));
    this.#write = Buffer.concat(Array.from({ length: frames }, () => frame));
    this.#frames = frames;
    this.#end = performance.now() + seconds * 1e3;
  }

  readonly #frames: number;

  get done(): Promise<void> {
    return this.#done.promise;
  }

  /** Until the socket takes no more. */
  go(): void {
    while (!this.#ended || this.#rest !== null) {
      const bytes = this.#rest ?? this.#next();
      const written = Math.max(0, this.socket.write(bytes));
      this.#rest = written < bytes.length ? bytes.subarray(written) : null;
      if (this.#rest !== null) return;
    }
    this.#done.resolve();
  }

  #next(): Buffer {
    if (performance.now() < this.#end) {
      this.sent += this.#frames;
      return this.#write;
    }
    this.#ended = true;
    return frameOf(0, Buffer.alloc(0));
  }
}

/** What a server has of one connection. */
interface Served {
  readonly reader: FrameReader;
  sender: Sender | null;
}

await playRole({
  server: async ({ tls }) => {
    const material = tls === true ? makeTls().server : null;
    const { port } = Bun.listen<Served>({
      hostname: "127.0.0.1",
      port: 0,
      ...(material && { tls: { key: material.key, cert: material.cert } }),
      socket: {
        open(socket) {
          socket.data = { reader: new FrameReader(), sender: null };
        },
        data(socket, chunk) {
          socket.data.reader.read(chunk, (call, payload) => {
            if (call === 0) socket.write(frameOf(0, Buffer.alloc(0)));
            if (call !== 2) return;
            const [bytes, seconds] = [payload.readDoubleLE(0), payload.readDoubleLE(8)];
            socket.data.sender = new Sender(socket, bytes, seconds);
            socket.data.sender.go();
          });
        },
        drain: ({ data }) => data.sender?.go(),
      },
    });
    return { port, tls: tls === true };
  },
  load: async (info) => {
    let sender: Sender | null = null;
    let take: (call: number) => void = () => {};
    const reader = new FrameReader();
    const secured = Promise.withResolvers<void>();
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: Number(info.port),
      ...(info.tls === true && { tls: { rejectUnauthorized: false } }),
      socket: {
        data: (_, chunk) => reader.read(chunk, (call) => take(call)),
        drain: () => sender?.go(),
        handshake: () => secured.resolve(),
      },
    });
    if (info.tls === true) await secured.promise;
    const ended = (onMessage: () => void) =>
      new Promise<void>((resolve) => {
        take = (call) => (call === 0 ? resolve() : onMessage());
      });
    return async ({ seconds }) => {
      const bytes = Number(info.bytes);
      const started = performance.now();
      let calls = 0;
      const end = ended(() => calls++);
      if (info.direction === "down") {
        const ask = Buffer.alloc(ASK_BYTES);
        ask.writeDoubleLE(bytes, 0);
        ask.writeDoubleLE(seconds, 8);
        socket.write(frameOf(2, ask));
      } else {
        sender = new Sender(socket, bytes, seconds);
        sender.go();
        await sender.done;
        calls = sender.sent;
      }
      await end;
      return { calls, elapsedMs: performance.now() - started, latencies: [] };
    };
  },
});
