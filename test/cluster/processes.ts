// Real processes of the built binary, spoken to through their public listeners. Imports nothing of src.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ClusterStore } from "./stores.ts";

const dist = join(import.meta.dir, "../../dist");
export const BINARY = join(dist, "hedgerow");
/** The control: fence and deadline checks are off. */
export const UNPROTECTED_BINARY = join(dist, "hedgerow-unprotected");

/** Long versions: `bun run accept`. */
export const LONG = process.env.HEDGEROW_LONG === "1";

export interface Entry {
  readonly key: string;
  readonly value?: string;
  readonly timestamp: string;
  readonly id: string;
  readonly leader: string;
}

export interface Status {
  readonly node: string;
  readonly leader?: string;
  readonly isLeader?: boolean;
  readonly token?: string;
  readonly members?: readonly { address: string; state: string; incarnation: string }[];
}

/** What travels with an error: a message in protobuf, as base64 without padding. */
export interface ErrorDetail {
  readonly type: string;
  readonly value: string;
}

/** What the client API answered: its message, or the code of its error; "refused" by a port without a listener. */
export type Answer<T> =
  | { readonly ok: true; readonly value: T }
  | {
      readonly ok: false;
      readonly code: string;
      readonly message: string;
      readonly details?: readonly ErrorDetail[];
    };

/** Where a node runs, and where it listens: each `host:port`. */
export interface Place {
  readonly peer: string;
  readonly http: string;
  /** Default: it speaks no gRPC. */
  readonly grpc?: string;
  /** The words before the binary that put it there. */
  readonly within?: readonly string[];
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => {
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            resolve(address !== null && typeof address === "object" ? address.port : 0);
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return ports;
}

export async function freePlaces(count: number, { grpc = false } = {}): Promise<Place[]> {
  const ports = await freePorts(3 * count);
  return Array.from({ length: count }, (_, i) => {
    const [peer, http, third] = ports
      .slice(3 * i, 3 * i + 3)
      .map((port) => `127.0.0.1:${port}`) as [string, string, string];
    return { peer, http, ...(grpc && { grpc: third }) };
  });
}

/** The first of so many free ports in a row, below those that the system gives to others. */
export async function freeRange(count: number): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const base = 15_000 + Math.floor(Math.random() * 15_000);
    const ports = Array.from({ length: count }, (_, i) => base + i);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error(`no ${count} free ports in a row`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

/** Asks until the condition holds; throws what it waited for when the deadline passes. */
export async function until(
  what: string,
  withinMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${withinMs} ms`);
    await Bun.sleep(10);
  }
}

/** One `hedgerow serve`. */
export class Node {
  readonly url: string;
  readonly address: string;
  #child: Bun.Subprocess<"ignore", "ignore", "pipe"> | null = null;
  /** All that its processes wrote to stderr. */
  stderr = "";

  constructor(
    private readonly folder: string,
    private readonly place: Place,
    private readonly flags: readonly string[],
    private readonly binary: string,
    private readonly env: Readonly<Record<string, string>>,
  ) {
    this.url = `http://${place.http}`;
    this.address = place.peer;
  }

  /** `host:port` of its grpc listener. */
  get grpc(): string {
    if (this.place.grpc === undefined) throw new Error("it speaks no gRPC");
    return this.place.grpc;
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    if (this.#child === null) throw new Error("not started");
    return this.#child.pid;
  }

  start(): void {
    const child = Bun.spawn(
      [
        ...(this.place.within ?? []),
        this.binary,
        "serve",
        ...["--peer-addr", this.address, "--http-addr", this.place.http],
        ...(this.place.grpc === undefined ? [] : ["--grpc-addr", this.place.grpc]),
        ...this.flags,
      ],
      {
        cwd: this.folder,
        env: { ...process.env, ...this.env },
        stdin: "ignore",
        stdout: "ignore",
        stderr: "pipe",
      },
    );
    this.#child = child;
    void this.#collect(child.stderr);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** The exit code, null after a signal that killed it. */
  async exited(): Promise<number | null> {
    await this.#child?.exited;
    return this.#child?.exitCode ?? null;
  }

  async call<T>(method: string, request: object, timeoutMs = 5_000): Promise<Answer<T>> {
    try {
      const response = await fetch(`${this.url}/hedgerow.v1.HedgerowService/${method}`, {
        method: "POST",
        headers: { "content-type": "application/json", "connect-timeout-ms": String(timeoutMs) },
        body: JSON.stringify(request),
        signal: AbortSignal.timeout(timeoutMs),
      });
      if (response.ok) return { ok: true, value: (await response.json()) as T };
      const error = (await response.json()) as Partial<Extract<Answer<T>, { ok: false }>>;
      return { message: "", code: `${response.status}`, ...error, ok: false };
    } catch (error) {
      const refused =
        error instanceof Error && "code" in error && error.code === "ConnectionRefused";
      return { ok: false, code: refused ? "refused" : "unreachable", message: String(error) };
    }
  }

  /** null while it does not answer. */
  async status(): Promise<Status | null> {
    const answer = await this.call<Status>("Status", {}, 1_000);
    return answer.ok ? answer.value : null;
  }

  put(key: string, value: string, id: string, timeoutMs?: number) {
    return this.call<{ id: string; timestamp: string }>("Put", { key, value, id }, timeoutMs);
  }

  async entries(key: string, limit = -1): Promise<Entry[]> {
    const answer = await this.call<{ entries?: Entry[] }>("Get", { key, limit: String(limit) });
    if (!answer.ok) throw new Error(`get ${key}: ${answer.code} ${answer.message}`);
    return answer.value.entries ?? [];
  }

  async demo(path: string, body: string): Promise<{ status: number; text: string }> {
    const response = await fetch(`${this.url}${path}`, { method: "POST", body });
    return { status: response.status, text: await response.text() };
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.stderr += decoder.decode(chunk, { stream: true });
  }
}

export interface ClusterOptions {
  readonly nodes?: number;
  readonly flags?: readonly string[];
  readonly binary?: string;
  readonly store?: Pick<ClusterStore, "flags" | "env">;
  /** Of the nodes, in their order. Default: free ports of 127.0.0.1. */
  readonly places?: readonly Place[];
}

/** Nodes on one store, a SQLite file by default, in a temporary folder; disposing ends and removes all. */
export class Cluster implements AsyncDisposable {
  private constructor(
    readonly folder: string,
    readonly nodes: readonly Node[],
  ) {}

  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const { nodes: count = 3, binary = BINARY, store } = options;
    const places = options.places ?? (await freePlaces(count));
    const flags = ["--lease", "2s", ...(store?.flags ?? []), ...(options.flags ?? [])];
    const folder = await mkdtemp(join(tmpdir(), "hedgerow-cluster-"));
    const nodes = places.map((place) => new Node(folder, place, flags, binary, store?.env ?? {}));
    for (const node of nodes) node.start();
    return new Cluster(folder, nodes);
  }

  get living(): readonly Node[] {
    return this.nodes.filter((node) => node.running);
  }

  /** Waits until all living nodes know one leader and each other; gives the leader. */
  async settled(withinMs = 15_000): Promise<Node> {
    let leader: Node | undefined;
    const { living } = this;
    let seen: (Status | null)[] = [];
    const settled = until("all nodes know one leader and each other", withinMs, async () => {
      seen = await Promise.all(living.map((node) => node.status()));
      const named = new Set(seen.map((status) => status?.leader));
      leader = living.find((node) => named.size === 1 && named.has(node.address));
      const leads = leader !== undefined && seen[living.indexOf(leader)]?.isLeader === true;
      return leads && seen.every((status) => (status?.members?.length ?? 0) === living.length);
    });
    await settled.catch((error: Error) => {
      const views = living.map((node, i) => {
        const { leader: known, members } = seen[i] ?? {};
        const said = node.stderr.split("\n").slice(-6).join("\n  ");
        return `${node.address} knows ${known} and ${members?.map((m) => m.address)}\n  ${said}`;
      });
      throw new Error(`${error.message}\n${views.join("\n")}`);
    });
    if (leader === undefined) throw new Error("unreachable: settled without a leader");
    return leader;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.living) node.signal("SIGKILL");
    await Promise.all(this.nodes.map((node) => node.exited()));
    await rm(this.folder, { recursive: true, force: true });
  }
}
