import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { HedgerowError, messageOf } from "../../errors.ts";
import type { StreamFrame, StreamFrameSchema, StreamOpen } from "../../gen/hedgerow/v1/peer_pb.ts";
import type { Logger } from "../../observe/logger.ts";
import type { Clock, Timer } from "../../runtime/runtime.ts";
import { canceled } from "../calls.ts";
import { decode } from "../codec.ts";
import { publicError } from "../errors.ts";
import { DEFAULT_TIMEOUT_MS } from "../limits.ts";
import type {
  Received,
  StreamCallOptions,
  StreamInput,
  StreamKind,
  StreamRoute,
  StreamRules,
} from "../port.ts";
import { FrameWriter, type Outgoing } from "./frame-writer.ts";
import {
  BEAT_MS,
  DEFAULT_STREAM_LIMITS,
  ENVELOPE_BYTES,
  IDLE_BEATS,
  MAX_UNREAD_BYTES,
  MAX_UNSENT_BYTES,
  maxWaitingBytes,
  MISSED_BEATS,
  type StreamLimits,
  windowBytes,
} from "./limits.ts";
import { LinkReader, type LinkSink } from "./link-reader.ts";
import { StreamTraffic } from "../traffic.ts";
import { Turns } from "../turns.ts";
import { LinkStream, type StreamLine } from "./stream.ts";

/** Promises that settle one after the other until the next message is there, if the producer waits for nothing else. */
const GATHERING_TURNS = 32;
/** Characters of a kind's name, which the other side is told. */
const MAX_KIND = 64;

export interface LinkOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The other side, for messages. */
  readonly peer: string;
  /** What the other side may open, by the kind's name. Absent on the side that opens. */
  readonly routes?: ReadonlyMap<string, StreamRoute>;
  readonly limits?: StreamLimits | undefined;
  /** Counts the streams. Default: nobody reads it. */
  readonly traffic?: StreamTraffic | undefined;
  /** Bytes that are left free before what `next` gives, for what carries it. Default 0. */
  readonly room?: number | undefined;
  /** For ends in one process, of which neither can go alone: no signs of life. Default false. */
  readonly isSilent?: boolean;
  /**
   * Called once, when no stream can be opened any more. `isCut`: nothing is to be sent any more either, not even the rest
   * of what `next` gave, which its owner may use again.
   */
  readonly onEnd?: (isCut: boolean) => void;
}

/**
 * One side of a connection that carries many streams: what `next` gives is to be passed, in order, to `receive` of
 * the other side. It does no I/O: HTTP carries it between processes, the simulated network between simulated ones.
 * One side opens streams, the other serves them.
 */
export class StreamLink implements StreamLine, LinkSink {
  readonly limits: StreamLimits;
  readonly turns: Turns;
  readonly #traffic: StreamTraffic;
  readonly #streams = new Map<number, LinkStream>();
  /** Streams that wait for their turn to send, in its order. */
  readonly #queue = new Set<LinkStream>();
  /** Streams that the other side has not taken yet, and what to do when it has. */
  readonly #opening = new Map<number, () => void>();
  readonly #writer: FrameWriter;
  readonly #reader: LinkReader;
  #lastId = 0;
  /** Bytes that wait for the readers of all streams. */
  #waiting = 0;
  #heard = false;
  #missedBeats = 0;
  #idleBeats = 0;
  #beat: Timer | null = null;
  #wake: (() => void) | null = null;
  #end: HedgerowError | null = null;

  constructor(private readonly options: LinkOptions) {
    this.limits = options.limits ?? DEFAULT_STREAM_LIMITS;
    this.turns = Turns.of(options.clock);
    this.#traffic = options.traffic ?? new StreamTraffic();
    this.#reader = new LinkReader(options.peer, this);
    this.#writer = new FrameWriter(options.room);
    if (options.isSilent !== true) this.#armBeat();
  }

  /** Whether it takes no more streams. */
  get ended(): boolean {
    return this.#end !== null;
  }

  /** Whether this is the side that opens streams. */
  get #opens(): boolean {
    return this.options.routes === undefined;
  }

  /** Whether the body that `next` gave last may be looked at still. */
  get lends(): boolean {
    return this.#writer.lends;
  }

  get idle(): boolean {
    return this.#streams.size === 0;
  }

  get writable(): boolean {
    return this.#writer.unsent < MAX_UNSENT_BYTES;
  }

  /** See `Peers.stream`. */
  open<H extends DescMessage>(
    kind: StreamKind<H>,
    opening: MessageInitShape<H>,
    input: StreamInput,
    { signal, timeoutMs = DEFAULT_TIMEOUT_MS, onEnd }: StreamCallOptions = {},
  ): Promise<Received> {
    const { peer, clock } = this.options;
    const what = `${kind.name} to ${peer}`;
    if (signal?.aborted) return Promise.reject(canceled(what, signal));
    if (this.#end !== null) return Promise.reject(this.#end);
    if (this.#streams.size >= this.limits.maxStreams) return Promise.reject(tooMany(this.limits));
    const stream = new LinkStream(++this.#lastId, "opener", this, { isBytes: kind.isBytes });
    this.#streams.set(stream.id, stream);
    this.#traffic.opened++;
    const bytes = toBinary(kind.opening, create(kind.opening, opening));
    this.sendFrame({ stream: stream.id, open: { kind: kind.name, opening: bytes } });
    stream.grant();
    return new Promise((resolve, reject) => {
      const abort = () => stream.fail(canceled(what, signal as AbortSignal));
      const late = () =>
        stream.fail(
          new HedgerowError("timeout", `${what}: not taken within ${Math.round(timeoutMs)} ms`),
        );
      const timer = clock.schedule(timeoutMs, late);
      signal?.addEventListener("abort", abort, { once: true });
      this.#opening.set(stream.id, () => {
        timer.cancel();
        this.#opening.delete(stream.id);
        if (onEnd !== undefined) stream.atEnd(onEnd);
        resolve(stream.messages);
        stream.send(input);
      });
      stream.atEnd(() => {
        timer.cancel();
        signal?.removeEventListener("abort", abort);
        if (this.#opening.delete(stream.id)) reject(stream.reason ?? endedUntaken(what));
      });
    });
  }

  /** The next bytes for the other side; null when there will be no more. Those before have been sent. */
  async next(): Promise<Outgoing | null> {
    this.#writer.passed();
    while (this.#writer.unsent === 0) {
      if (this.#end !== null) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    await this.#gather();
    await this.turns.over();
    const next = this.#writer.take();
    for (const stream of this.#queue) {
      if (!this.writable) break;
      this.#queue.delete(stream);
      stream.flush();
    }
    return next;
  }

  /** Bytes of the other side, cut anywhere. Gives whether their memory may be used again. */
  receive(bytes: Uint8Array): boolean {
    if (this.#end !== null) return true;
    this.#heard = true;
    try {
      return this.#reader.push(bytes);
    } catch (error) {
      this.cut(HedgerowError.from(error));
      return false;
    }
  }

  /** Ends all streams, tells the other side why, and takes no more. */
  close(error: HedgerowError): void {
    for (const stream of [...this.#streams.values()]) stream.fail(error);
    this.#stop(error, false);
  }

  /** The connection is gone. */
  cut(error: HedgerowError): void {
    this.#stop(error, true);
    this.#writer.end();
    for (const stream of [...this.#streams.values()]) stream.cut(error);
  }

  onMessage(id: number, data: Uint8Array): void {
    this.#traffic.rx.messages++;
    this.#traffic.rx.bytes += data.length;
    this.#streams.get(id)?.receiveMessage(data);
  }

  beginsParts(id: number, bytes: number): boolean {
    const stream = this.#streams.get(id);
    if (stream?.isBytes !== true) return false;
    this.#traffic.rx.messages++;
    stream.beginMessage(bytes);
    return true;
  }

  passesOn(id: number): boolean {
    return this.#streams.get(id)?.passesOn !== false;
  }

  onPart(id: number, data: Uint8Array): void {
    this.#traffic.rx.bytes += data.length;
    this.#streams.get(id)?.receivePart(data);
  }

  onEnvelope(): void {
    this.#checkRead();
  }

  onFrame(frame: StreamFrame): void {
    const { stream: id, open, taken } = frame;
    this.#checkRead();
    if (open !== undefined) this.#take(id, open);
    if (taken) this.#opening.get(id)?.();
    this.#streams.get(id)?.receiveFrame(frame);
  }

  sendMessage(stream: number, data: Uint8Array): Promise<void> | undefined {
    this.#traffic.tx.messages++;
    this.#traffic.tx.bytes += data.length;
    const lent = this.#writer.addMessage(stream, data);
    this.#ready();
    return lent;
  }

  sendFrame(frame: MessageInitShape<typeof StreamFrameSchema>): void {
    this.#writer.addFrame(frame);
    this.#ready();
  }

  queue(stream: LinkStream): void {
    this.#queue.add(stream);
  }

  window(): number {
    return windowBytes(this.limits, this.#streams.size);
  }

  keep(bytes: number): void {
    this.#waiting += bytes;
  }

  hasRoom(bytes: number): boolean {
    return this.#waiting + bytes <= maxWaitingBytes(this.limits);
  }

  remove(stream: LinkStream): void {
    if (this.#streams.delete(stream.id)) this.#traffic.ended++;
    this.#queue.delete(stream);
  }

  /** Waits for messages that are there already, up to a full envelope: it takes promises alone, and no time. */
  async #gather(): Promise<void> {
    let before = 0;
    while (before !== this.#writer.unsent && this.#writer.unsent < ENVELOPE_BYTES) {
      before = this.#writer.unsent;
      for (let i = 0; i < GATHERING_TURNS; i++) await null;
    }
  }

  /** Throws if the other side has said much and read nothing. */
  #checkRead(): void {
    if (this.#writer.unsent <= this.limits.maxMessageBytes + MAX_UNREAD_BYTES) return;
    throw new HedgerowError("overloaded", "what was answered to streams waits unread");
  }

  /** Serves a stream that the other side opens. */
  #take(id: number, { kind, opening }: StreamOpen): void {
    if (this.#opens) {
      throw new HedgerowError("invalid_argument", "streams are opened by the other side");
    }
    if (id <= this.#lastId) {
      throw new HedgerowError("invalid_argument", "a stream was opened twice");
    }
    this.#lastId = id;
    const route = this.options.routes?.get(kind);
    const failure = (error: unknown) => this.#publicFailure(kind, route, error);
    const stream = new LinkStream(id, "taker", this, {
      ...route,
      isBytes: route?.kind.isBytes,
      failure,
    });
    this.#streams.set(id, stream);
    this.#traffic.taken++;
    if (this.#streams.size > this.limits.maxStreams) stream.fail(tooMany(this.limits));
    else if (route === undefined) stream.fail(noSuchKind(kind));
    else this.#serve(stream, route, opening);
  }

  #serve(stream: LinkStream, route: StreamRoute, opening: Uint8Array): void {
    const taken = (async () => {
      route.check?.();
      return route.handle(decode(route.kind.opening, opening), stream.messages, stream);
    })();
    taken.then(
      (replies) => {
        if (!stream.over) {
          this.sendFrame({ stream: stream.id, taken: true });
          stream.grant();
        }
        stream.send(replies);
      },
      (error: unknown) => stream.fail(this.#publicFailure(route.kind.name, undefined, error)),
    );
  }

  /** What the other side may see; a defect is logged here. */
  #publicFailure(kind: string, rules: StreamRules | undefined, error: unknown): HedgerowError {
    const seen = (rules?.failure ?? publicError)(error);
    if (seen.code === "internal") {
      this.options.logger.error("stream failed", { kind, error: messageOf(error) });
    }
    return seen;
  }

  #ready(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #armBeat(): void {
    this.#beat = this.options.clock.schedule(BEAT_MS, () => this.#onBeat());
  }

  #onBeat(): void {
    this.#missedBeats = this.#heard ? 0 : this.#missedBeats + 1;
    this.#heard = false;
    this.#idleBeats = this.idle ? this.#idleBeats + 1 : 0;
    if (this.#missedBeats >= MISSED_BEATS) this.cut(silent(this.options.peer));
    else if (this.#idleBeats >= IDLE_BEATS && this.#opens) this.close(unused());
    if (this.#end !== null) return;
    if (this.#writer.unsent === 0) {
      this.#writer.addBeat();
      this.#ready();
    }
    this.#armBeat();
  }

  #stop(error: HedgerowError, isCut: boolean): void {
    if (this.#end !== null) return;
    this.#end = error;
    this.#beat?.cancel();
    this.#ready();
    this.options.onEnd?.(isCut);
  }
}

function tooMany({ maxStreams }: StreamLimits): HedgerowError {
  return new HedgerowError("overloaded", `${maxStreams} streams are open to this node already`);
}

function noSuchKind(kind: string): HedgerowError {
  return new HedgerowError("not_found", `no streams of the kind ${kind.slice(0, MAX_KIND)} here`);
}

function endedUntaken(what: string): HedgerowError {
  return new HedgerowError("outcome_unknown", `${what}: ended before it was taken`);
}

function unused(): HedgerowError {
  return new HedgerowError("unavailable", "the connection had no streams");
}

function silent(peer: string): HedgerowError {
  const ms = BEAT_MS * MISSED_BEATS;
  return new HedgerowError("outcome_unknown", `nothing was heard of ${peer} for ${ms} ms`);
}
