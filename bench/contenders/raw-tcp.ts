// The physical limit of a call between two processes: length-prefixed frames on one TCP connection,
// pipelined, answered in order. What arrives together is answered together.
import { playRole } from "../roles.ts";
import { FrameWriter } from "./frame-writer.ts";

const HEADER = 4;

/** Whole frames out of chunks, which end anywhere. */
class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  /** Gives every whole frame to `take`, header included. */
  read(chunk: Buffer, take: (frame: Buffer) => void): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (bytes.length - at >= HEADER) {
      const end = at + HEADER + bytes.readUInt32LE(at);
      if (end > bytes.length) break;
      take(bytes.subarray(at, end));
      at = end;
    }
    this.#rest = Buffer.from(bytes.subarray(at));
  }
}

export function serveFrames(): number {
  interface Connection {
    readonly reader: FrameReader;
    readonly writer: FrameWriter;
  }
  const listener = Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.setNoDelay(true);
        socket.data = { reader: new FrameReader(), writer: new FrameWriter(socket) };
      },
      data(socket, chunk) {
        // The chunk's memory is the socket's own once this returns.
        socket.data.reader.read(Buffer.from(chunk), (frame) => socket.data.writer.write(frame));
      },
      drain(socket) {
        socket.data.writer.flush();
      },
    },
  });
  return listener.port;
}

/** A connection that sends a payload and resolves with the frame that answers it. */
export async function connectFrames(port: number): Promise<(payload: Buffer) => Promise<Buffer>> {
  const reader = new FrameReader();
  const waiting: ((frame: Buffer) => void)[] = [];
  let answered = 0;
  const settle = (frame: Buffer) => {
    waiting[answered++]?.(frame);
    if (answered === waiting.length || answered > 4096) {
      waiting.splice(0, answered);
      answered = 0;
    }
  };
  const ready = Promise.withResolvers<FrameWriter>();
  let writer: FrameWriter | null = null;
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open(socket) {
        socket.setNoDelay(true);
        writer = new FrameWriter(socket);
        ready.resolve(writer);
      },
      data: (_, chunk) => reader.read(Buffer.from(chunk), settle),
      drain: () => writer?.flush(),
      connectError: (_, error) => ready.reject(error),
    },
  });
  const out = await ready.promise;
  return (payload) => {
    const frame = Buffer.allocUnsafe(HEADER + payload.length);
    frame.writeUInt32LE(payload.length, 0);
    payload.copy(frame, HEADER);
    return new Promise((resolve) => {
      waiting.push(resolve);
      out.write(frame);
    });
  };
}

if (import.meta.main) {
  await playRole({
    server: async () => ({ port: serveFrames() }),
    client: async ({ port }) => {
      const call = await connectFrames(Number(port));
      const payload = Buffer.alloc(64, "x");
      return () => call(payload);
    },
  });
}
