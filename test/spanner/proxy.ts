// A TCP proxy of the tests' own in front of the emulator, which loses what they tell it to. gRPC's messages pass
// it as they are, so that texts in them can be looked for. Imports nothing of src.
import { connect, createServer, type Server, type Socket } from "node:net";

/** A text that is looked for may lie across two chunks, of which the first one ends with so many bytes of it. */
const LONGEST_TEXT = 200;

/** A request that has passed, and nothing that came back on its connection since. */
export interface LostReply {
  /** Resolves once the request has been passed on. */
  readonly passed: Promise<void>;
  /** What came back meanwhile arrives now, late, and what comes later at once. */
  release(): void;
  /** The connection breaks; what came back is lost. */
  cut(): void;
}

/** Told of what a client sends; "break": that does not arrive, and the connection breaks. */
type Watch = (link: Link, has: (text: string) => boolean) => "pass" | "break";

/** One connection of a client, and the proxy's to the emulator for it. */
class Link {
  /** What came from the emulator while it was held; null while nothing is. */
  #held: Buffer[] | null = null;
  #silent = false;
  #tail = "";

  constructor(
    private readonly client: Socket,
    private readonly emulator: Socket,
    private readonly watch: Watch,
    ended: (link: Link) => void,
  ) {
    client.on("data", (chunk: Buffer) => this.#request(chunk));
    emulator.on("data", (chunk: Buffer) => this.#reply(chunk));
    client.on("close", () => {
      emulator.destroy();
      ended(this);
    });
    // Who is silent does not tell that the emulator has gone, either.
    emulator.on("close", () => {
      if (!this.#silent) client.destroy();
    });
    for (const socket of [client, emulator]) socket.on("error", () => {}); // "close" follows
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const chunk of held) this.client.write(chunk);
  }

  /** Nothing passes any more, in either direction, and neither side is told. */
  silence(): void {
    this.#silent = true;
  }

  destroy(): void {
    this.client.destroy();
    this.emulator.destroy();
  }

  #request(chunk: Buffer): void {
    if (this.#silent) return;
    const { length } = this.#tail;
    const sent = this.#tail + chunk.toString("latin1");
    this.#tail = sent.slice(-LONGEST_TEXT);
    // Not what was there before this chunk.
    const has = (text: string) => sent.includes(text, Math.max(0, length - text.length + 1));
    if (this.watch(this, has) === "break") this.destroy();
    else this.emulator.write(chunk);
  }

  #reply(chunk: Buffer): void {
    if (this.#silent) return;
    if (this.#held === null) this.client.write(chunk);
    else this.#held.push(chunk);
  }
}

export class TcpProxy implements AsyncDisposable {
  readonly #links = new Set<Link>();
  readonly #watches = new Set<Watch>();
  readonly #server: Server;
  #port = 0;
  /** New connections are taken, and nothing passes on them. */
  #silent = false;
  /** Connections taken since the start. */
  connections = 0;

  private constructor(target: string) {
    const { hostname, port } = new URL(`http://${target}`);
    this.#server = createServer((client) => {
      this.connections++;
      const watch: Watch = (link, has) => {
        const broken = [...this.#watches].filter((each) => each(link, has) === "break");
        return broken.length > 0 ? "break" : "pass";
      };
      const ended = (link: Link) => void this.#links.delete(link);
      const link = new Link(client, connect(Number(port), hostname), watch, ended);
      if (this.#silent) link.silence();
      this.#links.add(link);
    });
  }

  static async before(target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await proxy.accept();
    return proxy;
  }

  /** `host:port` of the proxy, as SPANNER_EMULATOR_HOST names it. */
  get host(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Connections that there are. */
  get open(): number {
    return this.#links.size;
  }

  /** Takes connections again after `refuse`, on the same port. */
  async accept(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    if (address !== null && typeof address === "object") this.#port = address.port;
  }

  /** Breaks all connections, and refuses new ones. */
  async refuse(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const link of this.#links) link.destroy();
    await closed;
  }

  /** The connections that there are go silent for ever; new ones work. */
  silence(): void {
    for (const link of this.#links) link.silence();
  }

  /** No connection works, old or new, and nobody is told; until `heal`, from which on new ones do. */
  blackHole(): void {
    this.#silent = true;
    this.silence();
  }

  heal(): void {
    this.#silent = false;
  }

  /** The next request that has the text in it passes; nothing comes back on its connection from then on. */
  loseReplyTo(text: string): LostReply {
    const { promise, resolve } = Promise.withResolvers<Link>();
    const watch: Watch = (link, has) => {
      if (has(text)) {
        this.#watches.delete(watch);
        link.hold();
        resolve(link);
      }
      return "pass";
    };
    this.#watches.add(watch);
    return {
      passed: promise.then(() => {}),
      release: () => void promise.then((link) => link.release()),
      cut: () => void promise.then((link) => link.destroy()),
    };
  }

  /** The next request that has the text in it does not arrive, and its connection breaks: resolves then. */
  loseRequest(text: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const watch: Watch = (_link, has) => {
      if (!has(text)) return "pass";
      this.#watches.delete(watch);
      resolve();
      return "break";
    };
    this.#watches.add(watch);
    return promise;
  }

  /** Chunks of requests, from now on, that have the text in them. */
  count(text: string): { readonly seen: number } {
    const count = { seen: 0 };
    this.#watches.add((_link, has) => {
      if (has(text)) count.seen++;
      return "pass";
    });
    return count;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.refuse();
  }
}
