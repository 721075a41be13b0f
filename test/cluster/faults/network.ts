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

/** What network namespaces need and is not there; null if nothing. */
export const MISSING_FOR_NETWORKS = missingTools("ip");

/**
 * A bridge for each way, in 198.18.0.0/15, which is kept for tests of networks. A node whose port is taken from a
 * bridge hears nothing from there, and its packets are lost: connections stand still, and go on after `heal`.
 */
export class Network implements AsyncDisposable {
  private constructor(
    /** Unlike that of any other network of this machine; of it names and addresses are made. */
    private readonly number: number,
    private readonly size: number,
  ) {}

  static async make(size: number): Promise<Network> {
    const network = new Network(Math.floor(Math.random() * 80), size);
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

  heal(node: number): void {
    for (const way of WAYS) ip("link", "set", this.#port(node, way), "master", this.#bridge(way));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The ports go with their namespaces.
    for (let node = 0; node < this.size; node++) tryIp("netns", "del", this.#namespace(node));
    for (const way of WAYS) tryIp("link", "del", this.#bridge(way));
  }

  #makeBridge(way: Way): void {
    const bridge = this.#bridge(way);
    ip("link", "add", bridge, "type", "bridge");
    ip("addr", "add", `${this.#address(way, OUTSIDE)}/24`, "dev", bridge);
    ip("link", "set", bridge, "up");
  }

  #makeNode(node: number): void {
    const namespace = this.#namespace(node);
    ip("netns", "add", namespace);
    ip("-n", namespace, "link", "set", "lo", "up");
    for (const way of WAYS) {
      const port = this.#port(node, way);
      ip("link", "add", port, "type", "veth", "peer", "name", way, "netns", namespace);
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

  // Names of interfaces have 15 characters at most.
  #bridge(way: Way): string {
    return `hr${this.number}-${way}`;
  }

  #port(node: number, way: Way): string {
    return `hr${this.number}-${way}${node}`;
  }
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
