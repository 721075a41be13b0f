import type { HedgerowError } from "../errors.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { Call } from "./calls.ts";
import { Carrier } from "./carrier.ts";
import type { Deadlines } from "./deadlines.ts";
import type { LaneRule } from "./lanes.ts";
import { PeerLane } from "./peer-lane.ts";
import type { Address } from "./port.ts";
import { PeerSession } from "./session.ts";
import type { Slots } from "./slots.ts";
import type { TlsMaterial } from "./tls.ts";

/** A request without an answer for this long, milliseconds, casts doubt on its connection. */
const SILENCE_MS = 100;

/** One other node: its connections, the calls that wait for it and those under way. */
export class Peer {
  readonly #session: PeerSession;
  readonly #lanes = new Map<LaneRule, PeerLane>();
  /** Requests under way, and their ends. */
  readonly #carriers = new Map<Carrier, Promise<void>>();
  /** When the peer last answered a request. */
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly address: Address,
    tls: () => TlsMaterial | null,
    private readonly slots: Slots,
    private readonly clock: Clock,
    private readonly deadlines: Deadlines,
  ) {
    this.#session = new PeerSession(address, tls, clock);
  }

  get idle(): boolean {
    for (const lane of this.#lanes.values()) if (!lane.idle) return false;
    return true;
  }

  /** Sends the call, at the latest when the requests before it in its lane are done. */
  add(call: Call): void {
    const { lane } = call.target;
    (this.#lanes.get(lane) ?? this.#openLane(lane)).add(call);
  }

  /**
   * Fails what waits with `error` and closes the idle connections. Resolves once what is under way has ended.
   */
  async retire(error: HedgerowError): Promise<void> {
    for (const lane of this.#lanes.values()) lane.fail(error);
    this.#session.close();
    await Promise.all([...this.#carriers.values()]);
    this.#session.close(); // a request that was tried again has opened another one
  }

  /** Fails what waits with `error`, what is under way with `outcome_unknown`, and closes the connections. */
  close(error: HedgerowError): void {
    for (const lane of this.#lanes.values()) lane.fail(error);
    for (const carrier of this.#carriers.keys()) carrier.cut();
    this.#session.close();
  }

  #openLane(rule: LaneRule): PeerLane {
    const lane = new PeerLane(rule, this.slots, this.deadlines, this.#carry);
    this.#lanes.set(rule, lane);
    return lane;
  }

  readonly #carry = async (calls: Call[]): Promise<void> => {
    const startedAt = this.clock.now();
    const carrier = new Carrier(calls, this.address, this.deadlines, startedAt, {
      answered: () => {
        this.#heardAt = this.clock.now();
      },
      givenUp: () => this.#doubt(startedAt),
    });
    const ended = carrier.run(this.#session);
    this.#carriers.set(carrier, ended);
    await ended;
    this.#carriers.delete(carrier);
  };

  /**
   * A request was given up. If the peer has not said a word since it was sent, its connection may be dead
   * without a sign, as after a partition: the next request opens a new one.
   */
  #doubt(sentAt: number): void {
    const silentMs = this.clock.now() - sentAt;
    if (this.#heardAt < sentAt && silentMs >= SILENCE_MS) this.#session.close();
  }
}
