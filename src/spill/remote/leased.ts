import type { KeepSegment, SpillOwner } from "../../gen/hedgerow/v1/spill_pb.ts";
import type { Logger } from "../../observe/logger.ts";
import type { Clock, Timer } from "../../runtime/runtime.ts";
import type { Held } from "./held.ts";

/** What is kept for one store of another node, as long as that renews it. */
interface Holding {
  readonly address: string;
  readonly incarnation: bigint;
  readonly expiryMs: number;
  readonly segments: Map<number, Held>;
  /** On the clock's `now`. */
  leaseEnds: number;
}

/** What is kept for stores of other nodes, as long as those renew their leases. */
export class Leased {
  readonly #holdings = new Map<string, Holding>();
  #timer: Timer | null = null;

  constructor(private readonly options: { readonly clock: Clock; readonly logger: Logger }) {}

  /** Of how many stores something is kept. */
  get stores(): number {
    return this.#holdings.size;
  }

  hasOf(address: string): boolean {
    return this.#holdings.values().some((holding) => holding.address === address);
  }

  find(owner: SpillOwner | undefined, segment: number): Held | undefined {
    return this.#holdings.get(keyOf(owner))?.segments.get(segment);
  }

  /** One that is there already under this name goes. */
  add({ owner, segment, expiryMs }: KeepSegment, held: Held): void {
    const key = keyOf(owner);
    let holding = this.#holdings.get(key);
    if (holding === undefined) {
      const { address = "", incarnation = 0n } = owner ?? {};
      holding = { address, incarnation, expiryMs, segments: new Map(), leaseEnds: 0 };
      this.#holdings.set(key, holding);
    }
    holding.leaseEnds = this.options.clock.now() + expiryMs;
    holding.segments.get(segment)?.free();
    holding.segments.set(segment, held);
    this.#schedule();
  }

  /** Gives those of whom nothing is kept. */
  renew(owners: readonly SpillOwner[]): SpillOwner[] {
    const now = this.options.clock.now();
    const unknown: SpillOwner[] = [];
    for (const owner of owners) {
      const holding = this.#holdings.get(keyOf(owner));
      if (holding === undefined) unknown.push(owner);
      else holding.leaseEnds = now + holding.expiryMs;
    }
    this.#schedule();
    return unknown;
  }

  free(owner: SpillOwner): void {
    this.#free(keyOf(owner));
  }

  /** What any other start of the process at this address owned. */
  freeFormer(address: string, start: bigint): void {
    for (const [key, holding] of this.#holdings) {
      if (holding.address === address && holding.incarnation !== start) this.#free(key);
    }
  }

  freeAll(): void {
    for (const key of [...this.#holdings.keys()]) this.#free(key);
    this.#timer?.cancel();
  }

  #free(key: string): void {
    const holding = this.#holdings.get(key);
    if (holding === undefined) return;
    this.#holdings.delete(key);
    for (const held of holding.segments.values()) held.free();
  }

  /** One timer, for the lease that ends first. */
  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = null;
    let first = Number.POSITIVE_INFINITY;
    for (const { leaseEnds } of this.#holdings.values()) first = Math.min(first, leaseEnds);
    if (first === Number.POSITIVE_INFINITY) return;
    const { clock } = this.options;
    this.#timer = clock.schedule(Math.max(1, first - clock.now()), () => this.#sweep());
  }

  #sweep(): void {
    const { clock, logger } = this.options;
    const now = clock.now();
    for (const [key, { leaseEnds, address, segments }] of this.#holdings) {
      if (leaseEnds > now) continue;
      logger.info("segments of another node freed: their lease has ended", {
        owner: address,
        segments: segments.size,
      });
      this.#free(key);
    }
    this.#schedule();
  }
}

function keyOf(owner: SpillOwner | undefined): string {
  const { address = "", incarnation = 0n, store = 0n } = owner ?? {};
  return `${address}/${incarnation}/${store}`;
}
