import type { HedgerowError } from "../errors.ts";
import type { Call } from "./calls.ts";
import { Carrier } from "./carrier.ts";
import type { Deadlines } from "./deadlines.ts";
import type { LaneRule } from "./lanes.ts";
import { PeerLane } from "./peer-lane.ts";
import type { Address } from "./port.ts";
import { PeerSession, type SessionContext } from "./session.ts";
import type { Slots } from "./slots.ts";

/** A request without an answer for this long, milliseconds, casts doubt on its connection. */
const SILENCE_MS = 100;

/** What all peers of a node share. */
export interface PeerContext extends SessionContext {
  readonly deadlines: Deadlines;
  readonly slots: Slots;
}

/** One other node: its connections, the calls that wait for it and those under way. */
export class Peer {
  readonly #session: PeerSession;
  readonly #lanes = new Map<LaneRule, PeerLane>();
  /** Requests under way, and their ends. */
  readonly #carriers = new Map<Carrier, Promise<void>>();
  /** When a call was last answered without an error: a stranger at the address may answer with one. */
  answeredAt = Number.NEGATIVE_INFINITY;
  /** When the peer last answered a request. */
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly address: Address,
    private readonly context: PeerContext,
  ) {
    this.#session = new PeerSession(address, context);
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
    const { slots, deadlines } = this.context;
    const lane = new PeerLane(rule, slots, deadlines, this.#carry);
    this.#lanes.set(rule, lane);
    return lane;
  }

  readonly #carry = async (calls: Call[]): Promise<void> => {
    const { clock, deadlines } = this.context;
    const startedAt = clock.now();
    const carrier = new Carrier(calls, this.address, deadlines, startedAt, {
      answered: () => {
        this.#heardAt = clock.now();
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
    const silentMs = this.context.clock.now() - sentAt;
    if (this.#heardAt < sentAt && silentMs >= SILENCE_MS) this.#session.close();
  }
}
