/**
 * Bun's fetch carries 256 requests of a process at once; more wait, whoever they are for. So the requests
 * to peers are counted, and a peer that does not answer holds few of them.
 */
export interface SlotLimits {
  /** Requests to all peers together. Bun's own limit, less what other parts of the process may need. */
  readonly total: number;
  /** While more than this are taken, only reserved lanes have their least. */
  readonly ordinary: number;
  /** While more than this are taken, each lane of a peer has only its least. */
  readonly shared: number;
}

export const SLOT_LIMITS: SlotLimits = { total: 224, ordinary: 192, shared: 144 };

export interface LaneLimits {
  readonly max: number;
  /** Held also when the slots that all peers share are taken. */
  readonly least: number;
  /** Its least is held also when the other lanes' leasts have taken all that they may. Default false. */
  readonly reserved?: boolean;
}

/** One kind of requests to one peer. */
export interface Lane {
  inFlight: number;
  readonly limits: LaneLimits;
}

export class Slots {
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  constructor(private readonly limits: SlotLimits = SLOT_LIMITS) {}

  /**
   * Takes a slot for the lane. If there is none because of other peers' requests, calls `retry` once one
   * is free.
   */
  take(lane: Lane, retry: () => void): boolean {
    if (lane.inFlight >= lane.limits.max) return false;
    if (this.#taken >= this.#bound(lane)) {
      this.#waiting.add(retry);
      return false;
    }
    this.#taken++;
    lane.inFlight++;
    return true;
  }

  give(lane: Lane): void {
    this.#taken--;
    lane.inFlight--;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const retry of waiting) retry();
  }

  #bound({ inFlight, limits }: Lane): number {
    if (inFlight >= limits.least) return this.limits.shared;
    return limits.reserved === true ? this.limits.total : this.limits.ordinary;
  }
}
