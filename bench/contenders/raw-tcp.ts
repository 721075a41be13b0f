// The physical limit of a call between two processes: length-prefixed frames on one TCP connection,
// pipelined, each with the number of its call, answered by frames of the server's own. What arrives
// together is answered together.
import type { Call } from "../load.ts";
import { playRole } from "../roles.ts";
import { FrameReader, FrameWriter, frameOf } from "./frames.ts";

interface Connection {
  readonly reader: FrameReader;
  readonly writer: FrameWriter;
}

/** Answers every call with `handle` of its payload. */
export function serveFrames(handle: (payload: Buffer) => Buffer): number {
  const listener = Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        socket.setNoDelay(true);
        socket.data = { reader: new FrameReader(), writer: new FrameWriter(socket) };
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
export async function connectFrames(port: number): Promise<(payload: Buffer) => Promise<Buffer>> {
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
        opened.data = new FrameWriter(opened);
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
    server: async () => ({ port: serveFrames((payload) => payload) }),
    client: async ({ port, first, second }) => {
      const payload = Buffer.alloc(64, "x");
      const ports = port === undefined ? [first, second] : [port];
      return toAll(await Promise.all(ports.map((each) => connectFrames(Number(each)))), payload);
    },
  });
}
