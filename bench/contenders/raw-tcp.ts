// The physical limit of a call between two processes: length-prefixed frames on one TCP connection,
// pipelined, each with the number of its call, answered by frames of the server's own. Those of one turn
// of the event loop leave in one write, unless `apart` is set.
import type { Call } from "../load.ts";
import { playRole } from "../roles.ts";
import { FrameReader, FrameWriter, frameOf } from "./frames.ts";

interface Connection {
  readonly reader: FrameReader;
  readonly writer: FrameWriter;
}

/** Answers every call with `handle` of its payload. */
function serveFrames(handle: (payload: Buffer) => Buffer, together: boolean): number {
  const listener = Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.setNoDelay(true);
        socket.data = { reader: new FrameReader(), writer: new FrameWriter(socket, together) };
      },
      data({ data: { reader, writer } }, chunk) {
        reader.read(chunk, (call, payload) => writer.write(frameOf(call, handle(payload))));
      },
      drain: (socket) => socket.data.writer.flush(),
    },
  });
  return listener.port;
}

/** A connection that sends a payload and resolves with the payload that answers it. */
async function connectFrames(
  port: number,
  together: boolean,
): Promise<(payload: Buffer) => Promise<Buffer>> {
  const reader = new FrameReader();
  const waiting = new Map<number, (payload: Buffer) => void>();
  const settle = (call: number, payload: Buffer) => {
    waiting.get(call)?.(payload);
    waiting.delete(call);
  };
  const socket = await Bun.connect<FrameWriter>({
    hostname: "127.0.0.1",
    port,
    socket: {
      open(opened) {
        opened.setNoDelay(true);
        opened.data = new FrameWriter(opened, together);
      },
      data: (_, chunk) => reader.read(chunk, settle),
      drain: (drained) => drained.data.flush(),
    },
  });
  let calls = 0;
  return (payload) =>
    new Promise((resolve) => {
      const call = calls++ >>> 0;
      waiting.set(call, resolve);
      socket.data.write(frameOf(call, payload));
    });
}

/** A call that is answered once every one of the servers has answered. */
function toAll(servers: readonly ((payload: Buffer) => Promise<Buffer>)[], payload: Buffer): Call {
  const [only, second] = servers;
  if (only !== undefined && second === undefined) return () => only(payload);
  return () => Promise.all(servers.map((server) => server(payload)));
}

if (import.meta.main) {
  await playRole({
    server: async ({ apart }) => ({
      port: serveFrames((payload) => payload, apart !== true),
      apart: apart === true,
    }),
    client: async ({ port, first, second, apart }) => {
      const payload = Buffer.alloc(64, "x");
      const ports = port === undefined ? [first, second] : [port];
      const servers = ports.map((each) => connectFrames(Number(each), apart !== true));
      return toAll(await Promise.all(servers), payload);
    },
  });
}
