/** Bytes of one kind, of a store or of the whole node: what was taken is given back to the byte. */
export class Budget {
  #used = 0;

  constructor(
    readonly limit: number,
    /** The node's, which all stores share. */
    private readonly parent: Budget | null = null,
  ) {}

  get used(): number {
    return this.#used;
  }

  /** What may be taken at all: of this limit and the node's the smaller one. */
  get most(): number {
    return this.parent === null ? this.limit : Math.min(this.limit, this.parent.most);
  }

  /** What may still be taken; never below 0. */
  get free(): number {
    const own = Math.max(0, this.limit - this.#used);
    return this.parent === null ? own : Math.min(own, this.parent.free);
  }

  /** Whether less may be taken of this limit than of the node's. */
  get binds(): boolean {
    return this.parent !== null && this.limit - this.#used < this.parent.free;
  }

  /** Whether more is taken than the limit, this one or the node's, allows. */
  get exceeded(): boolean {
    return this.#used > this.limit || this.parent?.exceeded === true;
  }

  /** What is taken of the node's beyond its limit. */
  get overdraft(): number {
    return this.parent?.overdraft ?? Math.max(0, this.#used - this.limit);
  }

  /** Takes all of it or nothing; leaves `spare` bytes of this limit and of the node's untouched. */
  tryTake(bytes: number, spare = 0): boolean {
    if (this.#used + bytes > this.limit - spare) return false;
    if (this.parent !== null && !this.parent.tryTake(bytes, spare)) return false;
    this.#used += bytes;
    return true;
  }

  /** Takes it, over the limit if need be. */
  take(bytes: number): void {
    this.parent?.take(bytes);
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.parent?.give(bytes);
    this.#used -= bytes;
  }
}
