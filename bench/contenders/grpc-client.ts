// A gRPC client that costs a few microseconds a call, so that it is the server which is measured: one
// HTTP/2 connection without TLS, unary calls, RFC 9113 and 7541 as far as those need them.
import { FrameWriter } from "./frames.ts";

const TYPE = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 };
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const FRAME_HEADER = 9;
const MAX_WINDOW = 2 ** 31 - 1;

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, FRAME_HEADER);
  return bytes;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A literal field that the server adds to its table. Texts are shorter than 127 bytes. */
function indexedLiteral(name: string, value: string): Buffer {
  const text = (of: string) => Buffer.concat([Buffer.from([of.length]), Buffer.from(of)]);
  return Buffer.concat([Buffer.from([0x40]), text(name), text(value)]);
}

const METHOD_POST = 0x83;
const SCHEME_HTTP = 0x86;

/** Header blocks of calls to one path: the first spells the fields out, the others name them. */
function headerBlocks(path: string, authority: string): { first: Buffer; later: Buffer } {
  const fields = [
    indexedLiteral(":path", path),
    indexedLiteral(":authority", authority),
    indexedLiteral("content-type", "application/grpc"),
    indexedLiteral("te", "trailers"),
  ];
  const first = Buffer.concat([Buffer.from([METHOD_POST, SCHEME_HTTP]), ...fields]);
  // Entry 62 of the table is what was added last.
  const later = Buffer.from([METHOD_POST, SCHEME_HTTP, 0x80 | 65, 0x80 | 64, 0x80 | 63, 0x80 | 62]);
  return { first, later };
}

interface Waiting {
  message: Uint8Array | null;
  readonly resolve: (message: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** Connects; what it gives makes a call with a message and resolves with the reply's message. */
export async function connectGrpcClient(
  port: number,
  path: string,
): Promise<(message: Uint8Array) => Promise<Uint8Array>> {
  const waiting = new Map<number, Waiting>();
  let rest: Buffer = Buffer.alloc(0);
  const ready = Promise.withResolvers<FrameWriter>();
  let writer: FrameWriter | null = null;

  const finish = (stream: number) => {
    const call = waiting.get(stream);
    waiting.delete(stream);
    // A reply without a message is an error: gRPC's unary success always carries one.
    if (call?.message != null) call.resolve(call.message);
    else call?.reject(new Error(`${path} failed`));
  };
  const take = (type: number, flags: number, stream: number, payload: Buffer) => {
    if (type === TYPE.data) {
      const call = waiting.get(stream);
      if (call !== undefined) call.message = payload.subarray(5);
    } else if (type === TYPE.settings && (flags & ACK) === 0) {
      writer?.write(frame(TYPE.settings, ACK, 0, new Uint8Array()));
    } else if (type === TYPE.ping && (flags & ACK) === 0) {
      writer?.write(frame(TYPE.ping, ACK, 0, payload));
    } else if (type === TYPE.reset || type === TYPE.goAway) {
      for (const open of type === TYPE.reset ? [stream] : [...waiting.keys()]) finish(open);
    }
    const mayEnd = type === TYPE.data || type === TYPE.headers;
    if (mayEnd && (flags & END_STREAM) !== 0) finish(stream);
  };
  const read = (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (bytes.length - at >= FRAME_HEADER) {
      const end = at + FRAME_HEADER + bytes.readUIntBE(at, 3);
      if (end > bytes.length) break;
      const [type, flags] = [bytes[at + 3] ?? 0, bytes[at + 4] ?? 0];
      take(type, flags, bytes.readUInt32BE(at + 5), bytes.subarray(at + FRAME_HEADER, end));
      at = end;
    }
    rest = bytes.subarray(at);
  };

  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open(socket) {
        socket.setNoDelay(true);
        writer = new FrameWriter(socket);
        writer.write(Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        const window = Buffer.concat([Buffer.from([0, 4]), uint32(MAX_WINDOW)]);
        writer.write(frame(TYPE.settings, 0, 0, window));
        writer.write(frame(TYPE.windowUpdate, 0, 0, uint32(MAX_WINDOW - 65_535)));
        ready.resolve(writer);
      },
      data: (_, chunk) => read(Buffer.from(chunk)),
      drain: () => writer?.flush(),
      close: () => {
        for (const stream of [...waiting.keys()]) finish(stream);
      },
      connectError: (_, error) => ready.reject(error),
    },
  });
  const out = await ready.promise;
  const { first, later } = headerBlocks(path, `127.0.0.1:${port}`);
  let nextStream = 1;
  return (message) => {
    const stream = nextStream;
    nextStream += 2;
    const body = Buffer.concat([Buffer.from([0]), uint32(message.length), message]);
    return new Promise((resolve, reject) => {
      waiting.set(stream, { message: null, resolve, reject });
      out.write(frame(TYPE.headers, END_HEADERS, stream, stream === 1 ? first : later));
      out.write(frame(TYPE.data, END_STREAM, stream, body));
    });
  };
}
