import { HedgerowError } from "../../errors.ts";
import { errorFromFetch } from "../errors.ts";
import type { Address } from "../port.ts";
import { clientTls, type TlsMaterial } from "../tls.ts";

/** What comes of a connection that was made. */
export interface ConnectionSink {
  data(bytes: Buffer): void;
  failed(error: Error): void;
  /** Called once, also after `failed`. */
  closed(): void;
}

export interface Connection {
  /** Resolves when the system has taken all of it, or the connection is closed, of which the sink is told. */
  write(bytes: Uint8Array): Promise<void> | undefined;
  /** Drops what has not left yet. */
  close(): void;
}

/**
 * A connection of TCP or of mutual TLS, on Bun's own sockets: those of node:net copy what the system does not take at
 * once, and each byte that comes passes a stream more (a third of what a stream between nodes costs). Throws
 * `unavailable`: nothing has been sent; and what the signal aborts with before it is made.
 */
export async function connect(
  address: Address,
  tls: TlsMaterial | null,
  sink: ConnectionSink,
  signal: AbortSignal,
): Promise<Connection> {
  signal.throwIfAborted();
  const colon = address.lastIndexOf(":");
  const ready = Promise.withResolvers<Connection>();
  const unreachable = (error: Error) => {
    const { message } = errorFromFetch(error, address);
    ready.reject(new HedgerowError("unavailable", message, { cause: error }));
  };
  let opened: Bun.Socket | null = null;
  const abort = () => {
    ready.reject(signal.reason as Error);
    opened?.terminate();
  };
  signal.addEventListener("abort", abort, { once: true });
  let drained: (() => void) | null = null;
  let isReady = false;
  const drain = () => {
    drained?.();
    drained = null;
  };
  const begin = (socket: Bun.Socket) => {
    socket.setNoDelay(true);
    isReady = true;
    ready.resolve({
      write: (bytes) => write(socket, bytes, (resolve) => (drained = resolve)),
      close: () => socket.terminate(),
    });
  };
  const options: Bun.TCPSocketConnectOptions<undefined> = {
    hostname: address.slice(0, colon).replace(/^\[(.*)\]$/, "$1"),
    port: Number(address.slice(colon + 1)),
    ...(tls !== null && { tls: clientTls(tls) }),
    socket: {
      open(socket) {
        opened = socket;
        if (signal.aborted) socket.terminate();
        else if (tls === null) begin(socket);
      },
      handshake(socket, success, error) {
        if (success) return begin(socket);
        unreachable(error ?? new Error("the handshake of TLS failed"));
        socket.terminate();
      },
      data: (_, bytes) => sink.data(bytes),
      drain,
      error: (_, error) => (isReady ? sink.failed(error) : unreachable(error)),
      close() {
        drain();
        if (isReady) sink.closed();
        else unreachable(new Error("it closed the connection"));
      },
    },
  };
  // It throws what is no port, or no certificate, at once.
  Promise.try(() => Bun.connect(options)).catch(unreachable);
  try {
    return await ready.promise;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function write(
  socket: Bun.Socket,
  bytes: Uint8Array,
  onDrain: (resolve: () => void) => void,
): Promise<void> | undefined {
  const written = socket.write(bytes);
  return written < 0 || written === bytes.length
    ? undefined
    : writeRest(socket, bytes, written, onDrain);
}

async function writeRest(
  socket: Bun.Socket,
  bytes: Uint8Array,
  written: number,
  onDrain: (resolve: () => void) => void,
): Promise<void> {
  for (let at = written; at < bytes.length;) {
    await new Promise<void>(onDrain);
    const more = socket.write(bytes, at, bytes.length - at);
    if (more < 0) return;
    at += more;
  }
}
