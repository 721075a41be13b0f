import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import { sleep } from "../runtime/operation.ts";
import type { Call } from "./calls.ts";
import { Carrier } from "./carrier.ts";
import type { Deadlines } from "./deadlines.ts";
import type { LaneRule } from "./lanes.ts";
import { PeerLane } from "./peer-lane.ts";
import type { Address, Received, StreamCallOptions, StreamInput, StreamKind } from "./port.ts";
import { RENEWAL_MS, type Session, type SessionContext } from "./session.ts";
import type { Slots } from "./slots.ts";
import { ClientLink } from "./streams/client.ts";
import type { StreamLimits } from "./streams/limits.ts";
import type { TlsMaterial } from "./tls.ts";
import type { Traffic } from "./traffic.ts";

/** A request without an answer for this long, milliseconds, casts doubt on its connection. */
const SILENCE_MS = 100;

/** What all peers of a node share. */
export interface PeerContext extends SessionContext {
  /** The way to an address. */
  readonly open: (address: Address) => Session;
  readonly deadlines: Deadlines;
  readonly slots: Slots;
  readonly streamLimits?: StreamLimits | undefined;
  /** Bytes of a request, and of a reply. */
  readonly maxCallBytes: number;
  readonly traffic: Traffic;
}

/** One other node: its connections, the calls that wait for it and those under way. */
export class Peer {
  readonly #session: Session;
  readonly #lanes = new Map<LaneRule, PeerLane>();
  /** Requests under way, and their ends. */
  readonly #carriers = new Map<Carrier, Promise<void>>();
  /** The request that takes new streams, and those that carry streams yet. */
  #line: ClientLink | null = null;
  #lineMaterial: TlsMaterial | null = null;
  readonly #lines = new Set<ClientLink>();
  /** When a call was last answered without an error: a stranger at the address may answer with one. */
  answeredAt = Number.NEGATIVE_INFINITY;
  /** When the peer last answered a request. */
  #heardAt = Number.NEGATIVE_INFINITY;

  constructor(
    readonly address: Address,
    private readonly context: PeerContext,
  ) {
    this.#session = context.open(address);
  }

  get idle(): boolean {
    if (this.#line?.link.idle === false) return false;
    for (const lane of this.#lanes.values()) if (!lane.idle) return false;
    return true;
  }

  /** Sends the call, at the latest when the requests before it in its lane are done. */
  add(call: Call): void {
    const { lane } = call.target;
    (this.#lanes.get(lane) ?? this.#openLane(lane)).add(call);
  }

  /** See `Peers.stream`. All streams share a request, for as long as it shows the certificate that is current. */
  async stream<H extends DescMessage>(
    kind: StreamKind<H>,
    opening: MessageInitShape<H>,
    input: StreamInput,
    options: StreamCallOptions,
  ): Promise<Received> {
    const open = () => this.#openLine().link.open(kind, opening, input, options);
    try {
      return await open();
    } catch (error) {
      if (!HedgerowError.is(error, "unavailable")) throw error;
      await sleep(this.context.clock, RENEWAL_MS, options.signal); // it may have closed its port just now
      return open();
    }
  }

  #openLine(): ClientLink {
    const { clock, tls, streamLimits: limits } = this.context;
    const material = tls();
    if (this.#line?.link.ended === false && this.#lineMaterial === material) return this.#line;
    const line = new ClientLink(this.#session, {
      clock,
      address: this.address,
      limits,
      traffic: this.context.traffic.streams,
    });
    this.#line = line;
    this.#lineMaterial = material;
    this.#lines.add(line);
    void line.ended.then(() => {
      this.#lines.delete(line);
      if (this.#line === line) this.#line = null;
    });
    return line;
  }

  /**
   * Fails what waits with `error` and closes the idle connections. Resolves once what is under way has ended.
   */
  async retire(error: HedgerowError): Promise<void> {
    for (const lane of this.#lanes.values()) lane.fail(error);
    const cut = new HedgerowError("outcome_unknown", error.message);
    for (const line of this.#lines) line.close(cut);
    this.#session.close();
    await Promise.all([...this.#carriers.values(), ...this.#ends()]);
    this.#session.close(); // what was in use, and what a request that was tried again has opened
  }

  /**
   * Fails what waits and streams with `error`, what is under way with `outcome_unknown`, and closes the connections.
   * Resolves once the streams' last words are said.
   */
  async close(error: HedgerowError): Promise<void> {
    for (const lane of this.#lanes.values()) lane.fail(error);
    for (const carrier of this.#carriers.keys()) carrier.cut();
    for (const line of this.#lines) line.close(error);
    this.#session.close();
    await Promise.all(this.#ends());
  }

  #ends(): Promise<void>[] {
    return [...this.#lines].map((line) => line.ended);
  }

  #openLane(rule: LaneRule): PeerLane {
    const { slots, deadlines } = this.context;
    const lane = new PeerLane(rule, slots, deadlines, this.#carry);
    this.#lanes.set(rule, lane);
    return lane;
  }

  readonly #carry = async (calls: Call[]): Promise<void> => {
    const { clock, deadlines, maxCallBytes } = this.context;
    const startedAt = clock.now();
    const carrier = new Carrier(calls, this.address, deadlines, startedAt, maxCallBytes, {
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
