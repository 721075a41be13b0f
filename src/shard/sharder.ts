import { checkWhole, notEnoughNodes } from "./errors.ts";
import { hashText, type ShardKey } from "./key.ts";
import type { ShardNode, ShardView } from "./node.ts";
import { Picked } from "./picked.ts";
import { isSame, type Placement } from "./placement.ts";
import { Roster } from "./roster.ts";
import { digestHigh, digestLow } from "./xxhash64.ts";

/**
 * Tells which nodes own a key: the same ones wherever the same nodes are known, in whatever order and by whatever
 * changes. Lookups allocate nothing. Made by `ring`, `rendezvous`, `multiprobe`, `ringHash` and `maglev`.
 */
export class Sharder<T extends ShardNode = ShardNode> {
  #roster: Roster<T>;
  #read: Placement;
  #readWrite: Placement;
  /** By slot. */
  #nodes: readonly (T | undefined)[] = [];
  #picked = new Picked(0);

  /** `keyOfNode` gives what the algorithm hashes of a node. */
  constructor(algorithm: Placement, keyOfNode: (node: ShardNode) => string) {
    this.#roster = Roster.empty(keyOfNode);
    this.#read = algorithm;
    this.#readWrite = algorithm;
  }

  /**
   * Takes these nodes in place of those before. What owners do not depend on makes nothing anew, so tell all nodes
   * each time, viewers too, and whatever else changed of them: lookups give the very objects that are told here.
   * Throws a ShardError, and stays as it was: `duplicate_node`, `invalid_node`, `too_large`.
   */
  update(nodes: readonly T[]): void {
    const roster = this.#roster.with(nodes);
    const read = over(roster.seatsIn("read"), this.#readWrite, this.#read);
    const readWrite = over(roster.seatsIn("readWrite"), read, this.#readWrite);
    if (roster.nodes.length !== this.#nodes.length) this.#picked = new Picked(roster.nodes.length);
    this.#roster = roster;
    this.#nodes = roster.nodes;
    this.#read = read;
    this.#readWrite = readWrite;
  }

  /** How many nodes own keys. */
  size(view: ShardView = "readWrite"): number {
    return (view === "read" ? this.#read : this.#readWrite).seats.length;
  }

  /** The owner of a key. Throws `not_enough_nodes` if there is none. */
  owner(key: string | ShardKey, view: ShardView = "readWrite"): T {
    const placement = view === "read" ? this.#read : this.#readWrite;
    let slot: number;
    if (typeof key === "string") {
      hashText(key);
      slot = placement.owner(digestHigh(), digestLow());
    } else {
      slot = placement.owner(key.high | 0, key.low | 0);
    }
    if (slot < 0) throw notEnoughNodes(1, 0);
    return this.#nodes[slot] as T;
  }

  /**
   * `count` distinct owners of a key, the first one first. They are put into `into`, whose length becomes `count`:
   * give an array that is used again where lookups are many. Throws `not_enough_nodes` if the view has fewer, and
   * `invalid_option` for a count that is none.
   */
  lookup(
    key: string | ShardKey,
    count: number,
    view: ShardView = "readWrite",
    into: T[] = [],
  ): T[] {
    const placement = view === "read" ? this.#read : this.#readWrite;
    checkCount(count);
    if (count > placement.seats.length) throw notEnoughNodes(count, placement.seats.length);
    const picked = this.#picked;
    picked.begin(count);
    if (typeof key === "string") {
      hashText(key);
      placement.pick(digestHigh(), digestLow(), picked);
    } else {
      placement.pick(key.high | 0, key.low | 0, picked);
    }
    into.length = count;
    for (let place = 0; place < count; place++) {
      into[place] = this.#nodes[picked.slots[place] as number] as T;
    }
    return into;
  }
}

/** The first of these placements that has these seats already, else the last one changed to them. */
function over(seats: Placement["seats"], ...candidates: [Placement, ...Placement[]]): Placement {
  const same = candidates.find((candidate) => isSame(candidate.seats, seats));
  return same ?? (candidates.at(-1) as Placement).over(seats);
}

function checkCount(count: number): void {
  checkWhole("a number of owners", count, 0, Number.MAX_SAFE_INTEGER);
}
