import { systemRuntime } from "../../src/runtime/system.ts";
import { systemScratch } from "../../src/runtime/system-scratch.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { startPeerListener } from "../../src/rpc/listener.ts";
import { connectPeers } from "../../src/rpc/peers.ts";
import type { PeerRoute, StreamKind, StreamRoute } from "../../src/rpc/port.ts";
import type { Compression } from "../../src/spill/compression.ts";
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
  /** A new process at the address of one that was killed. */
  restart(node: SpillNode): void;
}

/** So many nodes that know each other; `members` is what all of them believe. */
export async function spillNodes(count: number, settings: NodeSettings): Promise<SpillCluster> {
  const members = new Set<string>();
  const nodes: SpillNode[] = [];
  for (let i = 0; i < count; i++) nodes.push(startNode(members, settings));
  return {
    nodes,
    members,
    restart({ address }) {
      nodes.push(startNode(members, settings, Number(address.split(":")[1])));
    },
    async [Symbol.asyncDispose]() {
      for (const node of nodes) await node[Symbol.asyncDispose]();
    },
  };
}

let incarnations = 1;

function startNode(
  members: Set<string>,
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
