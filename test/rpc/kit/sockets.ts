import { freePorts } from "../../cli/process-kit.ts";
import { atEnd } from "./nodes.ts";

export interface RawServer {
  readonly address: string;
  /** Chunks received from all connections. */
  readonly received: Uint8Array[];
  readonly connections: () => number;
  /** Connections that are open now. */
  readonly open: () => number;
}

type Reaction = (socket: Bun.Socket<undefined>, chunk: Uint8Array, nth: number) => void;

/** A TCP server that does to what it receives whatever `react` does. Default: nothing, for ever. */
export function rawServer(react: Reaction = () => {}): RawServer {
  const received: Uint8Array[] = [];
  const open = new Set<Bun.Socket<undefined>>();
  let connections = 0;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(socket) {
        connections++;
        open.add(socket);
      },
      data(socket, chunk) {
        received.push(new Uint8Array(chunk));
        react(socket, chunk, received.length);
      },
      close: (socket) => void open.delete(socket),
    },
  });
  atEnd(() => server.stop(true));
  return {
    address: `127.0.0.1:${server.port}`,
    received,
    connections: () => connections,
    open: () => open.size,
  };
}

/** A port of this machine on which nobody listens. */
export function freePort(): number {
  return freePorts(1); // of those that no connection gets by itself
}
