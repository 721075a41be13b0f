// A TCP relay that delays what passes and, as a network that loses packets does, some of it for longer: what comes
// behind waits for it. Imports nothing of src.
import { connect, createServer, type Server, type Socket } from "node:net";

/** How bad the way is. */
export interface Quality {
  /** Each chunk takes up to so many milliseconds. */
  readonly delayMs: number;
  /** The share of chunks that are lost, and sent again after LOST_MS. */
  readonly lost: number;
  /** The share of chunks with which the connection breaks. */
  readonly broken: number;
}

export const PERFECT: Quality = { delayMs: 0, lost: 0, broken: 0 };
/** As long as Linux waits at least before it sends a packet again. */
const LOST_MS = 200;

export class Relay implements AsyncDisposable {
  quality = PERFECT;
  /** Chunks that were lost, and connections that broke. */
  lost = 0;
  broken = 0;
  readonly #sockets = new Set<Socket>();
  /** What the target has said while that was held back. */
  #kept: (() => void)[] | null = null;

  private constructor(
    private readonly address: string,
    private readonly server: Server,
  ) {}

  /** `target` is host:port. */
  static async listen(address: string, target: string): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(address, server);
    const { hostname, port } = new URL(`http://${target}`);
    server.on("connection", (client) => relay.#join(client, connect(Number(port), hostname)));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, address, resolve);
    });
    return relay;
  }

  /** host:port */
  get host(): string {
    const bound = this.server.address();
    if (bound === null || typeof bound === "string") throw new Error("the relay does not listen");
    return `${this.address}:${bound.port}`;
  }

  /** Keeps what the target says from now on, until the result is called. */
  holdBack(): () => void {
    this.#kept = [];
    return () => {
      const kept = this.#kept ?? [];
      this.#kept = null;
      for (const pass of kept) pass();
    };
  }

  /** Chunks of the target that are kept now. */
  get heldBack(): number {
    return this.#kept?.length ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(client: Socket, server: Socket): void {
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      const write = (chunk: Buffer) => {
        if (from === server && this.#kept !== null) this.#kept.push(() => to.write(chunk));
        else to.write(chunk);
      };
      this.#sockets.add(from);
      from.setNoDelay(true);
      this.#pass(from, write);
      from.on("error", () => {}); // "close" follows
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }

  #pass(from: Socket, write: (chunk: Buffer) => void): void {
    let lastDue = 0;
    from.on("data", (chunk: Buffer) => {
      const { delayMs, lost, broken } = this.quality;
      if (Math.random() < broken) {
        this.broken++;
        from.destroy();
        return;
      }
      const isLost = Math.random() < lost;
      if (isLost) this.lost++;
      const now = performance.now();
      const due = now + Math.random() * delayMs + (isLost ? LOST_MS : 0);
      lastDue = Math.max(lastDue, due);
      if (lastDue <= now) write(chunk);
      else setTimeout(() => write(chunk), lastDue - now);
    });
  }
}
