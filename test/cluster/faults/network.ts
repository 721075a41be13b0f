// Nodes in network namespaces of their own, and partitions between them of which nobody is told. Needs root and
// iproute2. Imports nothing of src.
import { writeFileSync } from "node:fs";
import type { Place } from "../processes.ts";
import { missingTools } from "./root.ts";

/** Each node has one way to its peers, one to the store, and one to its clients. */
const WAYS = ["peers", "store", "clients"] as const;
export type Way = (typeof WAYS)[number];

const PEER_PORT = 8080;
const HTTP_PORT = 9090;
/** Of a way's 254: the machine's own end, and the first node's. */
const OUTSIDE = 1;
const FIRST = 11;

/** Of networks that may be there at once. */
const NUMBERS = 80;

/** What network namespaces need and is not there; null if nothing. */
export const MISSING_FOR_NETWORKS = missingTools("ip");

/**
 * A bridge for each way, in 198.18.0.0/15, which is kept for tests of networks. A node whose port is taken from a
 * bridge hears nothing from there, and its packets are lost: connections stand still, and go on after `heal`.
 */
export class Network implements AsyncDisposable {
  /** What takes away again what was made, the last first. */
  readonly #undo: string[][] = [];

  private constructor(
    /** Of it names and addresses are made. */
    private readonly number: number,
    private readonly size: number,
  ) {}

  static async make(size: number): Promise<Network> {
    const network = new Network(freeNumber(), size);
    try {
      for (const way of WAYS) network.#makeBridge(way);
      for (let node = 0; node < size; node++) network.#makeNode(node);
      return network;
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
  }

  get places(): Place[] {
    return Array.from({ length: this.size }, (_, node) => ({
      peer: `${this.#address("peers", FIRST + node)}:${PEER_PORT}`,
      http: `${this.#address("clients", FIRST + node)}:${HTTP_PORT}`,
      within: ["ip", "netns", "exec", this.#namespace(node)],
    }));
  }

  /** Where nodes find what listens on this machine for them. */
  get storeAddress(): string {
    return this.#address("store", OUTSIDE);
  }

  /** From now on nothing comes through, in either direction. */
  cut(node: number, way: Way): void {
    ip("link", "set", this.#port(node, way), "nomaster");
  }

  /** From now on these nodes' peers are each other alone, and those of the others likewise. */
  split(nodes: readonly number[]): void {
    const beyond = `hr${this.number}-beyond`;
    if (tryIp("link", "show", beyond) !== "") {
      ip("link", "add", beyond, "type", "bridge");
      this.#undo.push(["link", "del", beyond]);
      ip("link", "set", beyond, "up");
    }
    for (const node of nodes) ip("link", "set", this.#port(node, "peers"), "master", beyond);
  }

  heal(node: number): void {
    for (const way of WAYS) ip("link", "set", this.#port(node, way), "master", this.#bridge(way));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const words of this.#undo.splice(0).toReversed()) tryIp(...words);
  }

  #makeBridge(way: Way): void {
    const bridge = this.#bridge(way);
    // Without one of its own it has the address of one of its ports, and another once that is cut.
    const hex = (byte: number) => byte.toString(16).padStart(2, "0");
    const address = `02:00:00:00:${hex(this.number)}:${hex(WAYS.indexOf(way))}`;
    ip("link", "add", bridge, "address", address, "type", "bridge");
    this.#undo.push(["link", "del", bridge]);
    ip("addr", "add", `${this.#address(way, OUTSIDE)}/24`, "dev", bridge);
    ip("link", "set", bridge, "up");
  }

  #makeNode(node: number): void {
    const namespace = this.#namespace(node);
    ip("netns", "add", namespace);
    this.#undo.push(["netns", "del", namespace]);
    ip("-n", namespace, "link", "set", "lo", "up");
    for (const way of WAYS) {
      const port = this.#port(node, way);
      ip("link", "add", port, "type", "veth", "peer", "name", way, "netns", namespace);
      this.#undo.push(["link", "del", port]);
      ip("-n", namespace, "addr", "add", `${this.#address(way, FIRST + node)}/24`, "dev", way);
      ip("-n", namespace, "link", "set", way, "up");
      ip("link", "set", port, "master", this.#bridge(way));
      ip("link", "set", port, "up");
      // Off the bridge this machine would answer on the port itself, for all of its addresses.
      writeFileSync(`/proc/sys/net/ipv4/conf/${port}/arp_ignore`, "8");
      writeFileSync(`/proc/sys/net/ipv4/conf/${port}/rp_filter`, "1");
    }
  }

  #address(way: Way, host: number): string {
    return `198.18.${3 * this.number + WAYS.indexOf(way)}.${host}`;
  }

  #namespace(node: number): string {
    return `hedgerow-${this.number}-${node}`;
  }

  #bridge(way: Way): string {
    return bridgeOf(this.number, way);
  }

  #port(node: number, way: Way): string {
    return `${this.#bridge(way)}${node}`;
  }
}

/** Names of interfaces have 15 characters at most. */
function bridgeOf(number: number, way: Way): string {
  return `hr${number}-${way}`;
}

function freeNumber(): number {
  const numbers = Array.from({ length: NUMBERS }, (_, number) => number);
  const isFree = (number: number) => tryIp("link", "show", bridgeOf(number, "peers")) !== "";
  const free = numbers.sort(() => Math.random() - 0.5).find(isFree);
  if (free === undefined) throw new Error(`${NUMBERS} networks are there already`);
  return free;
}

function ip(...words: string[]): void {
  const error = tryIp(...words);
  if (error !== "") throw new Error(`ip ${words.join(" ")}: ${error}`);
}

/** What it wrote to stderr. */
function tryIp(...words: string[]): string {
  return Bun.spawnSync(["ip", ...words], { stdin: "ignore" })
    .stderr.toString()
    .trim();
}
