import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { HedgerowError, messageOf } from "../errors.ts";
import type { CallOptions, Clock } from "../runtime/runtime.ts";
import { Call, type CallTarget, canceled } from "./calls.ts";
import { encode } from "./codec.ts";
import { Deadlines } from "./deadlines.ts";
import { LABEL_HEADER, labelToHeader } from "./label.ts";
import { laneOf } from "./lanes.ts";
import { DEFAULT_TIMEOUT_MS, MAX_CALL_BYTES, MAX_TIMEOUT_MS } from "./limits.ts";
import type { ProcessNetwork } from "./memory-network.ts";
import { Peer, type PeerContext } from "./peer.ts";
import type {
  Address,
  Peers,
  Received,
  StreamCallOptions,
  StreamInput,
  StreamKind,
} from "./port.ts";
import { pathOf } from "./server.ts";
import { PeerSession, type SessionContext } from "./session.ts";
import { Slots } from "./slots.ts";
import type { StreamLimits } from "./streams/limits.ts";
import type { TlsMaterial } from "./tls.ts";
import { Traffic } from "./traffic.ts";

export interface PeersOptions {
  readonly clock: Clock;
  /** Asked before each request, so that renewed certificates are used; null: plain text. */
  readonly tls: () => TlsMaterial | null;
  /** Methods that may travel in batches: those that the peers' listeners take in batches. Default: none. */
  readonly batched?: Iterable<DescMethodUnary>;
  /** The cluster's label, told with every request. Default: none. */
  readonly label?: string | undefined;
  /** Counts the calls. Default: nobody reads it. */
  readonly traffic?: Traffic | undefined;
  readonly streamLimits?: StreamLimits | undefined;
  /** Bytes of a request, and of a reply. Default 4 MiB + 64 KiB. */
  readonly maxCallBytes?: number | undefined;
  /** Instead of sockets. Default: none. */
  readonly network?: ProcessNetwork | undefined;
}

/** The one place where addresses become clients. */
export function connectPeers(options: PeersOptions): PeerClients {
  return new PeerClients(options);
}

const ADDRESS = /^[^\s/?#@\\]+:\d{1,5}$/;
/** Addresses that are kept; idle ones beyond this are forgotten. */
const MAX_PEERS = 1024;

export class PeerClients implements Peers {
  readonly #peers = new Map<Address, Peer>();
  /** Forgotten ones with calls under way. Each holds a slot, so that they are few. */
  readonly #retired = new Set<Peer>();
  readonly #targets = new Map<DescMethodUnary, CallTarget>();
  readonly #context: PeerContext;
  readonly #traffic: Traffic;
  #closed = false;

  constructor(private readonly options: PeersOptions) {
    const { clock, tls, label, streamLimits, maxCallBytes = MAX_CALL_BYTES } = options;
    const session: SessionContext = {
      clock,
      tls,
      headers: {
        "content-type": "application/proto",
        ...(label !== undefined && { [LABEL_HEADER]: labelToHeader(label) }),
      },
    };
    this.#traffic = options.traffic ?? new Traffic();
    this.#context = {
      traffic: this.#traffic,
      ...session,
      streamLimits,
      maxCallBytes,
      open: (address) =>
        options.network?.session(address, session) ?? new PeerSession(address, session),
      deadlines: new Deadlines(clock),
      slots: new Slots(),
    };
    for (const desc of options.batched ?? []) this.#addTarget(desc, true);
  }

  /** Default time-out 10 s, at most one hour. */
  unary<I extends DescMessage, O extends DescMessage>(
    to: Address,
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { timeoutMs: wanted, signal }: CallOptions = {},
  ): Promise<MessageShape<O>> {
    return new Promise((resolve, reject) => {
      const target = this.#targets.get(method) ?? this.#addTarget(method, false);
      const peer = this.#peerAt(to);
      if (signal?.aborted) throw canceled(`${method.name} to ${to}`, signal);
      const timeoutMs = Math.min(wanted ?? DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS);
      const settings = {
        target,
        request: encodeRequest(method.input, request, this.#context.maxCallBytes),
        deadline: this.options.clock.now() + timeoutMs,
        timeoutMs,
        signal,
        peer: to,
      };
      const done = (reply: unknown) => {
        peer.answeredAt = this.options.clock.now();
        resolve(reply as MessageShape<O>);
      };
      peer.add(new Call(settings, done, reject));
    });
  }

  async stream<H extends DescMessage>(
    to: Address,
    kind: StreamKind<H>,
    opening: MessageInitShape<H>,
    input: StreamInput,
    options: StreamCallOptions = {},
  ): Promise<Received> {
    return this.#peerAt(to).stream(kind, opening, input, options);
  }

  heardAt(address: Address): number | undefined {
    return this.#peers.get(address)?.answeredAt;
  }

  forget(address: Address): void {
    const peer = this.#peers.get(address);
    if (peer !== undefined) this.#retire(peer, `${address} is no longer a member`);
  }

  /**
   * Fails what waits and streams with `stopped`, and what is under way with `outcome_unknown`. Resolves once that has been
   * said to those who listen. Idempotent.
   */
  async close(): Promise<void> {
    this.#closed = true;
    const error = new HedgerowError("stopped", "the node is stopping");
    const all = [...this.#peers.values(), ...this.#retired];
    this.#peers.clear();
    await Promise.all(all.map((peer) => peer.close(error)));
  }

  #peerAt(address: Address): Peer {
    if (this.#closed) throw new HedgerowError("stopped", "the node is stopping");
    const known = this.#peers.get(address);
    if (known !== undefined) return known;
    if (!ADDRESS.test(address)) {
      throw new HedgerowError("invalid_argument", `${address} is not an address: give host:port`);
    }
    if (this.#peers.size >= MAX_PEERS) this.#retireIdle();
    const peer = new Peer(address, this.#context);
    this.#peers.set(address, peer);
    return peer;
  }

  /** Calls to the address from now on go to a new Peer, which does not wait for this one's. */
  #retire(peer: Peer, why: string): void {
    this.#peers.delete(peer.address);
    this.#retired.add(peer);
    void peer.retire(new HedgerowError("unavailable", why)).then(() => this.#retired.delete(peer));
  }

  #retireIdle(): void {
    for (const peer of this.#peers.values()) if (peer.idle) this.#retire(peer, "the peer is idle");
  }

  #addTarget(desc: DescMethodUnary, batched: boolean): CallTarget {
    const path = pathOf(desc);
    const name = new TextEncoder().encode(path.slice(1));
    const traffic = this.#traffic.asked(desc);
    const target = { desc, path, name, lane: laneOf(desc, batched), traffic };
    this.#targets.set(desc, target);
    return target;
  }
}

function encodeRequest<I extends DescMessage>(
  input: I,
  request: MessageInitShape<I>,
  maxBytes: number,
): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = encode(input, request);
  } catch (cause) {
    throw new HedgerowError("invalid_argument", `${input.name}: ${messageOf(cause)}`, { cause });
  }
  if (bytes.length > maxBytes) {
    throw new HedgerowError("too_large", `the request is over ${maxBytes} bytes: shorten it`);
  }
  return bytes;
}
