import type { HedgerowError } from "../errors.ts";
import type { Clock } from "../runtime/runtime.ts";
import { CallQueue } from "./call-queue.ts";
import type { Call } from "./calls.ts";
import { Carrier } from "./carrier.ts";
import type { Deadlines } from "./deadlines.ts";
import type { Address } from "./port.ts";
import { PeerSession } from "./session.ts";
import type { Lane, Slots } from "./slots.ts";
import type { TlsMaterial } from "./tls.ts";

/** Batches keep the other side busy while one travels; more in flight make them only smaller. */
const BATCHES = { max: 4, least: 2 };
/** Calls that may take long each have a request of their own. */
const SINGLES = { max: 48, least: 2 };
/** A batch is not split over several requests below this many calls. */
const MIN_SPLIT = 32;
const MAX_BATCH_CALLS = 256;
/** A request without an answer for this long, milliseconds, casts doubt on its connection. */
const SILENCE_MS = 100;
const MAX_BATCH_BYTES = 1024 * 1024;

/** One other node: its connections, the calls that wait for it and those under way. */
export class Peer {
  readonly #session: PeerSession;
  readonly #batches: Lane = { ...BATCHES, inFlight: 0 };
  readonly #singles: Lane = { ...SINGLES, inFlight: 0 };
  readonly #waitingBatched: CallQueue;
  readonly #waitingSingle: CallQueue;
  readonly #carriers = new Set<Carrier>();
  #flushing = false;
  /** When the peer last answered a request. */
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly address: Address,
    tls: () => TlsMaterial | null,
    private readonly slots: Slots,
    private readonly clock: Clock,
    private readonly deadlines: Deadlines,
  ) {
    this.#waitingBatched = new CallQueue(deadlines);
    this.#waitingSingle = new CallQueue(deadlines);
    this.#session = new PeerSession(address, tls, clock);
  }

  get idle(): boolean {
    return this.#carriers.size + this.#waitingBatched.size + this.#waitingSingle.size === 0;
  }

  /** Sends the call, at the latest when the requests before it are done. */
  add(call: Call): void {
    if (!call.target.batched) {
      this.#waitingSingle.push(call);
      this.#sendSingles();
      return;
    }
    this.#waitingBatched.push(call);
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(this.#flush); // calls of the same tick travel together
  }

  /** Fails what waits with `error`, what is under way with `outcome_unknown`, and closes the connections. */
  close(error: HedgerowError): void {
    this.#waitingBatched.fail(error);
    this.#waitingSingle.fail(error);
    for (const carrier of this.#carriers) carrier.cut();
    this.#session.close();
  }

  readonly #flush = (): void => {
    this.#flushing = false;
    this.#sendBatches();
  };

  readonly #sendBatches = (): void => {
    const queue = this.#waitingBatched;
    while (queue.size > 0 && this.slots.take(this.#batches, this.#sendBatches)) {
      const lanes = this.#batches.max - this.#batches.inFlight + 1;
      const share = Math.max(MIN_SPLIT, Math.ceil(queue.size / lanes));
      const calls = queue.take(Math.min(share, MAX_BATCH_CALLS), MAX_BATCH_BYTES);
      void this.#carry(this.#batches, calls, this.#sendBatches);
    }
    queue.watch();
  };

  readonly #sendSingles = (): void => {
    const queue = this.#waitingSingle;
    while (queue.size > 0 && this.slots.take(this.#singles, this.#sendSingles)) {
      void this.#carry(this.#singles, queue.take(1, 0), this.#sendSingles);
    }
    queue.watch();
  };

  async #carry(lane: Lane, calls: Call[], next: () => void): Promise<void> {
    const startedAt = this.clock.now();
    const carrier = new Carrier(calls, this.address, this.deadlines, startedAt, {
      answered: () => {
        this.#heardAt = this.clock.now();
      },
      givenUp: () => this.#doubt(startedAt),
    });
    this.#carriers.add(carrier);
    await carrier.run(this.#session);
    this.#carriers.delete(carrier);
    this.slots.give(lane);
    next();
  }

  /**
   * A request was given up. If the peer has not said a word since it was sent, its connection may be dead
   * without a sign, as after a partition: the next request opens a new one.
   */
  #doubt(sentAt: number): void {
    const silentMs = this.clock.now() - sentAt;
    if (this.#heardAt < sentAt && silentMs >= SILENCE_MS) this.#session.close();
  }
}
