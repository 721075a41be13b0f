import {
  checkNodes,
  compareUtf8,
  isIn,
  type Seat,
  type ShardNode,
  type ShardView,
} from "./node.ts";

type KeyOfNode = (node: ShardNode) => string;

interface Seated<T> {
  readonly node: T;
  readonly seat: Seat;
}

/** Who is there, each in a seat of its own. It does not change itself. */
export class Roster<T extends ShardNode> {
  private constructor(
    private readonly keyOfNode: KeyOfNode,
    /** By name. */
    private readonly seated: ReadonlyMap<string, Seated<T>>,
    /** By slot; none in those that are free. */
    readonly nodes: readonly (T | undefined)[],
  ) {}

  static empty<T extends ShardNode>(keyOfNode: KeyOfNode): Roster<T> {
    return new Roster<T>(keyOfNode, new Map(), []);
  }

  /**
   * These nodes instead. Whoever stays keeps its slot, and its very seat unless its weight or what is hashed
   * changed. Throws `invalid_node`, `duplicate_node` or `too_large`.
   */
  with(nodes: readonly T[]): Roster<T> {
    checkNodes(nodes, this.keyOfNode);
    const stay = new Set<number>();
    for (const { name } of nodes) {
      const slot = this.seated.get(name)?.seat.slot;
      if (slot !== undefined) stay.add(slot);
    }
    const seated = new Map<string, Seated<T>>();
    const bySlot: (T | undefined)[] = [];
    let free = 0;
    for (const node of nodes) {
      const known = this.seated.get(node.name)?.seat;
      if (known === undefined) while (stay.has(free)) free++;
      const slot = known?.slot ?? free++;
      seated.set(node.name, { node, seat: seatOf(slot, this.keyOfNode(node), node.weight, known) });
      while (bySlot.length <= slot) bySlot.push(undefined);
      bySlot[slot] = node;
    }
    return new Roster(this.keyOfNode, seated, bySlot);
  }

  /** Seats of those who count in the view, by key. */
  seatsIn(view: ShardView): Seat[] {
    return [...this.seated.values()]
      .filter(({ node }) => isIn(view, node))
      .map(({ seat }) => seat)
      .sort((a, b) => compareUtf8(a.key, b.key));
  }
}

function seatOf(slot: number, key: string, weight = 1, known?: Seat): Seat {
  return known?.key === key && known.weight === weight ? known : { slot, key, weight };
}
