import { ShardError } from "./errors.ts";

/** What a sharder is told of a member of the cluster. */
export interface ShardNode {
  /** Unique among the nodes. */
  readonly name: string;
  /** Viewers own nothing, those that are terminating only in the view for reads. */
  readonly state: "viewer" | "participant" | "terminating";
  /** Share of the keys, in proportion to the others'. A whole number, 1 by default; with 0 it owns nothing. */
  readonly weight?: number | undefined;
  /**
   * What Envoy's algorithms hash, and Envoy must be told the same: its metadata `envoy.lb.hash_key` for the
   * host, else the host's `address:port`. The name by default.
   */
  readonly hashKey?: string | undefined;
}

/** `read`: participants and those that are terminating. `readWrite`: participants alone. */
export type ShardView = "read" | "readWrite";

/** More nodes than this are refused. */
export const MAX_NODES = 65_535;
/** UTF-8 bytes of a name or a hash key. */
const MAX_KEY_BYTES = 4_096;
/** Of one node, and of all of them together: the same as Envoy's. */
const MAX_WEIGHT = 2 ** 32 - 1;

/** A node's place in a sharder: it stays the same object while nothing changes of what decides on owners. */
export interface Seat {
  /** Small number that stands for the node while it is there. */
  readonly slot: number;
  /** What is hashed. */
  readonly key: string;
  /** Above 0. */
  readonly weight: number;
}

export function isIn(view: ShardView, { state, weight = 1 }: ShardNode): boolean {
  return weight > 0 && (state === "participant" || (state === "terminating" && view === "read"));
}

/** Throws `invalid_node`, `duplicate_node` or `too_large`. */
export function checkNodes(
  nodes: readonly ShardNode[],
  keyOfNode: (node: ShardNode) => string,
): void {
  if (nodes.length > MAX_NODES) {
    throw new ShardError("too_large", `${nodes.length} nodes: at most ${MAX_NODES}`);
  }
  const names = new Set<string>();
  const keys = new Set<string>();
  let weights = 0;
  for (const node of nodes) {
    const key = keyOfNode(node);
    checkText("name", node.name);
    checkText("hash key", key);
    const { name, weight = 1 } = node;
    if (!Number.isInteger(weight) || weight < 0) {
      const problem = `weight ${weight} of ${name}: give a whole number from 0`;
      throw new ShardError("invalid_node", problem);
    }
    if (names.has(name)) throw new ShardError("duplicate_node", `two nodes have the name ${name}`);
    if (keys.has(key)) throw new ShardError("duplicate_node", `two nodes have the hash key ${key}`);
    names.add(name);
    keys.add(key);
    weights += weight;
  }
  if (weights > MAX_WEIGHT) {
    throw new ShardError("too_large", `weights of ${weights} together: at most ${MAX_WEIGHT}`);
  }
}

function checkText(what: string, text: string): void {
  // Lone surrogates all have the same UTF-8.
  if (text !== "" && text.isWellFormed() && Buffer.byteLength(text) <= MAX_KEY_BYTES) return;
  const problem = `a node's ${what} has 1 to ${MAX_KEY_BYTES} bytes of UTF-8`;
  throw new ShardError("invalid_node", problem);
}

/** The order of the texts' UTF-8, as Go and C++ compare them. */
export function compareUtf8(a: string, b: string): number {
  const units = Math.min(a.length, b.length);
  for (let at = 0; at < units; at++) {
    const difference = rank(a.charCodeAt(at)) - rank(b.charCodeAt(at));
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Surrogates, which stand for what is above U+FFFF, come after all other units. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
