import { systemRuntime } from "../../src/runtime/system.ts";
import { systemScratch } from "../../src/runtime/system-scratch.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { startPeerListener } from "../../src/rpc/listener.ts";
import { connectPeers } from "../../src/rpc/peers.ts";
import type { PeerRoute, StreamKind, StreamRoute } from "../../src/rpc/port.ts";
import type { Compression } from "../../src/spill/compression.ts";
import type { Notices } from "../../src/spill/remote/own-room.ts";
import { Spill } from "../../src/spill/spill.ts";
import { freePorts } from "../cli/process-kit.ts";
import { withoutLong } from "../rpc/kit/clock.ts";

/** A node's spill store on a listener of its own, in this process. */
export interface SpillNode extends AsyncDisposable {
  readonly address: string;
  readonly spill: Spill;
  /** How often it was asked who it is, and what it has room for. */
  readonly asked: number;
  /** Streams of the kind that are open to it since `stall`: nothing comes from them. */
  readonly stalled: number;
  stall(kind: StreamKind, from: "opening" | "replies"): void;
  /** As a process that dies: nothing is said to anybody. */
  kill(): Promise<void>;
}

export interface NodeSettings {
  readonly folder: string;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly compression?: Compression;
  /** What takes a second or more never comes. Default: false. */
  readonly patient?: boolean;
}

export interface SpillCluster extends AsyncDisposable {
  readonly nodes: SpillNode[];
  readonly members: Set<string>;
  /** What each node has said of its room. */
  readonly notices: NoticeBoard;
  /** One more, which may have other limits. */
  add(limits?: Partial<NodeSettings>): SpillNode;
  /** A new process at the address of one that was killed. */
  restart(node: SpillNode): void;
}

/** So many nodes that know each other; `members` is what all of them believe. */
export async function spillNodes(count: number, settings: NodeSettings): Promise<SpillCluster> {
  const members = new Set<string>();
  const notices = new NoticeBoard();
  const nodes: SpillNode[] = [];
  const add = (limits: Partial<NodeSettings> = {}, port?: number) => {
    const node = startNode(members, notices, { ...settings, ...limits }, port);
    nodes.push(node);
    return node;
  };
  for (let i = 0; i < count; i++) add();
  return {
    nodes,
    members,
    notices,
    add,
    restart({ address }) {
      add({}, Number(address.split(":")[1]));
    },
    async [Symbol.asyncDispose]() {
      for (const node of nodes) await node[Symbol.asyncDispose]();
    },
  };
}

/** Instead of gossip: all hear at once what each says, and who comes hears what was said before. */
export class NoticeBoard {
  /** By address, how often it said something. */
  readonly said = new Map<string, number>();
  /** Nothing is passed on any more. */
  isSilent = false;
  readonly #last = new Map<string, { readonly body: Uint8Array; readonly stamp: number }>();
  readonly #readers = new Map<string, Spill>();
  #stamp = 0;

  readBy(address: string, spill: Spill): void {
    this.#readers.set(address, spill);
    if (this.isSilent) return;
    for (const [from, { body, stamp }] of this.#last) spill.heardRoom(from, body, stamp);
  }

  of(address: string): Notices {
    const stamp = () => ++this.#stamp;
    return {
      stamp,
      say: (body) => {
        const said = { body, stamp: stamp() };
        this.#last.set(address, said);
        this.said.set(address, (this.said.get(address) ?? 0) + 1);
        if (this.isSilent) return;
        for (const [to, spill] of this.#readers) {
          if (to !== address) spill.heardRoom(address, body, said.stamp);
        }
      },
    };
  }
}

let incarnations = 1;

function startNode(
  members: Set<string>,
  notices: NoticeBoard,
  { folder, patient = false, ...limits }: NodeSettings,
  port = freePorts(1), // the routes are known once there is an address
): SpillNode {
  const { random, clock } = systemRuntime();
  const runtime = { random, clock: patient ? withoutLong(clock) : clock };
  const routes: PeerRoute[] = [];
  const streamRoutes: StreamRoute[] = [];
  const incarnation = incarnations++;
  const peers = connectPeers({ clock: runtime.clock, tls: () => null, label: "spill" });
  const address = `127.0.0.1:${port}`;
  const spill = new Spill({
    ...limits,
    clock: runtime.clock,
    logger: silentLogger,
    files: systemScratch(folder),
    cluster: {
      peers,
      self: address,
      incarnation: BigInt(incarnation),
      others: () => [...members].filter((member) => member !== address),
      notices: notices.of(address),
    },
  });
  let asked = 0;
  const counted = spill.holder.routes.map((route): PeerRoute => {
    if (route.method.name !== "Room") return route;
    const handle: PeerRoute["handle"] = (...given) => {
      asked++;
      return route.handle(...given);
    };
    return { ...route, handle };
  });
  routes.push(...counted);
  let stalls: StreamKind | null = null;
  let stallsFrom = "replies";
  let stalled = 0;
  const stallable = spill.holder.streamRoutes.map((route): StreamRoute => {
    const handle: StreamRoute["handle"] = (opening, input, stream) => {
      if (route.kind !== stalls) return route.handle(opening, input, stream);
      stalled++;
      const { promise: ended, resolve } = Promise.withResolvers<void>();
      stream.signal.addEventListener("abort", () => resolve());
      void ended.then(() => stalled--);
      const nothing = (async function* () {
        await ended;
        yield* [];
      })();
      return stallsFrom === "opening" ? ended.then(() => nothing) : nothing;
    };
    return { ...route, handle };
  });
  streamRoutes.push(...stallable);
  const listener = startPeerListener({
    runtime,
    logger: silentLogger,
    host: "127.0.0.1",
    port,
    tls: null,
    label: "spill",
    routes,
    streamRoutes,
    graceMs: 0,
  });
  members.add(address);
  notices.readBy(address, spill);
  spill.start();
  const kill = async () => {
    await peers.close();
    await listener.stop();
  };
  return {
    address,
    spill,
    get asked() {
      return asked;
    },
    get stalled() {
      return stalled;
    },
    stall(kind, from) {
      stalls = kind;
      stallsFrom = from;
    },
    kill,
    async [Symbol.asyncDispose]() {
      await spill.stop();
      await kill();
    },
  };
}
