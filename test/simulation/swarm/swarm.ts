import { create } from "@bufbuild/protobuf";
import { GossipService, PingRequestSchema } from "../../../src/gen/hedgerow/v1/gossip_pb.ts";
import { LeaderDirectory } from "../../../src/lock/directory.ts";
import { Gossip } from "../../../src/members/gossip.ts";
import { Liveness, type MemberRecord, PeerState, toWire } from "../../../src/members/member.ts";
import type { TableChange } from "../../../src/members/changes.ts";
import type { GossipTiming } from "../../../src/members/timing.ts";
import { silentLogger } from "../../../src/observe/logger.ts";
import { serve } from "../../../src/rpc/port.ts";
import { Machine } from "../world/machine.ts";
import { Prng } from "../world/prng.ts";
import { Scheduler } from "../world/scheduler.ts";
import { Transport } from "./transport.ts";

export interface SwarmNode {
  readonly address: string;
  readonly label: string;
  readonly machine: Machine;
  readonly gossip: Gossip;
  /** Addresses of those who count, as this node was told by its changes. */
  readonly members: Set<string>;
  /** What it heard that others say of themselves, as text, by address. */
  readonly notices: Map<string, string>;
}

/** A crash, until all who lived then know of it. */
interface Crash {
  readonly at: number;
  /** Who still holds the crashed node for present. */
  readonly unaware: Set<SwarmNode>;
}

export interface SwarmOptions {
  readonly nodes: number;
  readonly timing: GossipTiming;
  /** One of so many messages goes through the real codec. Default 1: all do. */
  readonly codecEvery?: number;
}

const LABEL = "swarm";

/** Membership alone, many nodes in one process: real gossip on a simulated network, no store. */
export class Swarm {
  readonly scheduler = new Scheduler();
  readonly prng: Prng;
  readonly transport: Transport;
  /** Living nodes that somebody gave up, partitions aside. */
  readonly falseDeaths: string[] = [];
  /** Milliseconds from each crash until the last of the others knew of it. */
  readonly detectionsMs: number[] = [];
  /** Sees what each node is told of its members. */
  onNote: (node: SwarmNode, change: TableChange) => void = () => {};
  readonly #crashes = new Map<string, Crash>();
  readonly #byAddress = new Map<string, SwarmNode>();
  #cut = false;

  constructor(
    seed: number,
    readonly options: SwarmOptions,
  ) {
    this.prng = new Prng(seed);
    this.transport = new Transport(this.scheduler, this.prng.fork(), options.codecEvery ?? 1);
    for (let i = 0; i < options.nodes; i++) this.#boot(addressOf(i));
    this.#introduce();
  }

  get now(): number {
    return this.scheduler.now;
  }

  get nodes(): SwarmNode[] {
    return [...this.#byAddress.values()];
  }

  get living(): SwarmNode[] {
    return this.nodes.filter(({ machine }) => machine.alive);
  }

  node(index: number): SwarmNode {
    return this.#byAddress.get(addressOf(index)) as SwarmNode;
  }

  pass(ms: number): void {
    this.scheduler.runUntil(this.now + ms);
  }

  /** Passes time until the condition holds; gives the milliseconds that it took, Infinity if it did not. */
  until(withinMs: number, condition: () => boolean, everyMs = 20): number {
    const from = this.now;
    while (!condition()) {
      if (this.now - from >= withinMs) return Infinity;
      this.pass(everyMs);
    }
    return this.now - from;
  }

  /** Whether every living node knows exactly the living ones. */
  isWhole(): boolean {
    const { living } = this;
    return living.every(
      ({ members }) =>
        members.size === living.length && living.every(({ address }) => members.has(address)),
    );
  }

  /** The power is gone. */
  crash(node: SwarmNode): void {
    node.machine.kill();
    const unaware = this.living.filter(({ members }) => members.has(node.address));
    this.#crashes.set(node.address, { at: this.now, unaware: new Set(unaware) });
    for (const address of this.#crashes.keys()) this.#learned(node, address);
  }

  /** A new process at the address of one that is gone, which joins through a living one. */
  restart(address: string, wallOffMs = 0): SwarmNode {
    const node = this.#boot(address, { wallOffMs });
    node.gossip.start();
    this.join(node);
    return node;
  }

  /** A new process at an address, of any cluster, which knows nobody. */
  place(address: string, label: string): SwarmNode {
    return this.#boot(address, { label });
  }

  /** One more node, which knows nobody; named by its address unless it is given a name. */
  add(index: number, name?: string): SwarmNode {
    const node = this.#boot(addressOf(index), { name });
    node.gossip.start();
    return node;
  }

  /** Again until it is one of several: a joiner that heard nothing asks another one. */
  join(node: SwarmNode, through?: SwarmNode): void {
    const others = this.living.filter((other) => other !== node && other.members.size > 1);
    const seed = through ?? (others.length > 0 ? this.prng.pick(others) : undefined);
    if (seed !== undefined) node.gossip.sync(seed.address).catch(() => {});
    node.machine.schedule(3_000, () => {
      if (node.members.size === 1 && others.length > 0) this.join(node);
    });
  }

  /** Cuts the nodes into those and the others. */
  partition(those: readonly SwarmNode[]): void {
    this.#cut = true;
    for (const { address } of those) this.transport.setSide(address, 1);
  }

  heal(): void {
    this.#cut = false;
    this.transport.heal();
  }

  /** All know all at the beginning: the first is told of everybody, and the others ask it. */
  #introduce(): void {
    const [first, ...others] = this.nodes;
    if (first === undefined) return;
    for (const { gossip, address } of others) {
      const self = toWire(gossip.members()[0] as MemberRecord);
      const ping = create(PingRequestSchema, { label: LABEL, target: first.address, self });
      void first.gossip.servePing(ping);
      void gossip.sync(first.address).catch((error: unknown) => {
        throw new Error(`${address} was not introduced`, { cause: error });
      });
    }
    this.pass(100);
    for (const { gossip } of this.nodes) gossip.start();
  }

  #boot(
    address: string,
    { label = LABEL, wallOffMs = 0, name = address as string | undefined } = {},
  ): SwarmNode {
    const machine = new Machine(this.scheduler, 1, wallOffMs);
    const members = new Set<string>();
    const notices = new Map<string, string>();
    const gossip = new Gossip({
      runtime: { clock: machine, random: this.prng.fork() },
      logger: silentLogger,
      peers: this.transport.peersOf(address, machine),
      directory: new LeaderDirectory(),
      timing: this.options.timing,
      cluster: { label, leaseMs: 30_000 },
      self: recordOf(address, Math.floor(machine.wallMicros() / 1e3), name),
      onChange: (change) => this.#note(node, change),
      onNotice: (from, body) => notices.set(from, new TextDecoder().decode(body)),
      onFatal: (error) => {
        throw error;
      },
    });
    const node = { address, label, machine, gossip, members, notices };
    const { ping, pingIndirect, sync } = GossipService.method;
    this.transport.listen(address, machine, [
      serve(ping, (request) => gossip.servePing(request)),
      serve(pingIndirect, (request, call) => gossip.servePingIndirect(request, call)),
      serve(sync, (request) => gossip.serveSync(request)),
    ]);
    this.#byAddress.set(address, node);
    return node;
  }

  #note(node: SwarmNode, change: TableChange): void {
    if (!node.machine.alive) return;
    this.onNote(node, change);
    const { joined, left } = change;
    for (const { address, incarnation } of left) {
      node.members.delete(address);
      this.#learned(node, address);
      // A new incarnation is the same member again.
      const back = joined.some((one) => one.address === address && one.incarnation > incarnation);
      const now = this.#byAddress.get(address);
      const lives = now?.machine.alive === true && now.label === node.label;
      if (lives && !back && !this.#cut) {
        this.falseDeaths.push(`${Math.round(this.now)} ms: ${node.address} gave ${address} up`);
      }
    }
    for (const { address } of joined) node.members.add(address);
  }

  #learned(node: SwarmNode, address: string): void {
    const crash = this.#crashes.get(address);
    if (crash === undefined) return;
    crash.unaware.delete(node);
    if (crash.unaware.size > 0) return;
    this.#crashes.delete(address);
    this.detectionsMs.push(this.now - crash.at);
  }
}

function addressOf(index: number): string {
  return `10.0.${Math.floor(index / 250)}.${(index % 250) + 1}:8080`;
}

export function recordOf(address: string, incarnation: number, name = address): MemberRecord {
  return {
    name,
    address,
    incarnation,
    version: 0,
    liveness: Liveness.ALIVE,
    state: PeerState.PARTICIPANT,
  };
}
