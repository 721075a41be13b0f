/** Collects the slots of distinct nodes. Used over and over, so that a lookup allocates nothing. */
export class Picked {
  readonly slots: Int32Array;
  size = 0;
  wanted = 0;
  #round = 0;
  /** By slot: the round in which it was added last. */
  readonly #added: Uint32Array;

  constructor(slots: number) {
    this.slots = new Int32Array(slots);
    this.#added = new Uint32Array(slots);
  }

  begin(wanted: number): void {
    this.size = 0;
    this.wanted = wanted;
    if (++this.#round > 0xffffffff) {
      this.#added.fill(0);
      this.#round = 1;
    }
  }

  get isFull(): boolean {
    return this.size >= this.wanted;
  }

  /** Slots that are there already are left out. */
  add(slot: number): void {
    if (this.#added[slot] === this.#round) return;
    this.#added[slot] = this.#round;
    this.slots[this.size++] = slot;
  }
}
