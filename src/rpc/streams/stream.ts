import type { MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../../errors.ts";
import type { StreamFrame, StreamFrameSchema } from "../../gen/hedgerow/v1/peer_pb.ts";
import { fromBatchError, publicError, toBatchError } from "../errors.ts";
import type { Received, ServedStream, StreamInput, StreamRules } from "../port.ts";
import { MAX_MESSAGE_BYTES } from "../../store/limits.ts";
import { Share, type Turns } from "../turns.ts";
import { Inbox } from "./inbox.ts";
import { FIRST_CREDIT_BYTES, MESSAGE_COST_BYTES, type StreamLimits } from "./limits.ts";

/** What a stream needs of the connection that it shares with others. */
export interface StreamLine {
  readonly limits: StreamLimits;
  readonly turns: Turns;
  /** Whether messages may be sent now; otherwise `queue` has `flush` called when they may. */
  readonly writable: boolean;
  queue(stream: LinkStream): void;
  /** The credit that one stream may have at present. */
  window(): number;
  /** So many bytes more, or less, wait for readers. */
  keep(bytes: number): void;
  /** Whether there is room for so many more. */
  hasRoom(bytes: number): boolean;
  /** Gives a promise that resolves when `data` may change; undefined if it may at once. */
  sendMessage(stream: number, data: Uint8Array): Promise<void> | undefined;
  sendFrame(frame: MessageInitShape<typeof StreamFrameSchema>): void;
  /** The stream is over. */
  remove(stream: LinkStream): void;
}

export type Role = "opener" | "taker";

export interface LinkStreamOptions extends StreamRules {
  /** See `StreamKind`. Default false. */
  readonly isBytes?: boolean | undefined;
}

type Source = AsyncIterator<Uint8Array | string> | Iterator<Uint8Array | string>;

/**
 * One end of a stream. Each end sends as far as the other one's credit goes, and ends its own direction; the stream
 * is over when the taking side has ended its direction, or either has failed.
 */
export class LinkStream implements ServedStream {
  readonly isBytes: boolean;
  readonly #inbox: Inbox;
  /** What may still be sent; a message larger than that may go once. */
  #credit = FIRST_CREDIT_BYTES;
  /** What the other side may still send, and what of it waits to be read. */
  #granted = FIRST_CREDIT_BYTES;
  #waiting = 0;
  /** Of that, what is kept: nothing for a reader that has left. */
  #kept = 0;
  #isLeft = false;
  #source: Source | null = null;
  /** Resolves when the message that is being sent may change. */
  #lent: Promise<void> | undefined = undefined;
  /** A message that waits for credit or for its turn, and whoever waits for it to be gone. */
  #held: { readonly data: Uint8Array; readonly sent: () => void } | null = null;
  #over = false;
  #reason: HedgerowError | null = null;
  #controller: AbortController | null = null;
  readonly #atEnd: (() => void)[] = [];

  constructor(
    readonly id: number,
    private readonly role: Role,
    private readonly line: StreamLine,
    private readonly rules: LinkStreamOptions = {},
  ) {
    this.isBytes = rules.isBytes === true;
    this.#inbox = new Inbox(
      (message) => this.#onTaken(message),
      () => this.#onLeft(),
      rules.check && (() => this.#check()),
    );
  }

  get messages(): Received {
    return this.#inbox;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Of bytes, messages are how they travel, and nobody's setting. */
  get #maxMessageBytes(): number {
    return this.isBytes ? MAX_MESSAGE_BYTES : this.line.limits.maxMessageBytes;
  }

  /** Why it failed; null while it has not. */
  get reason(): HedgerowError | null {
    return this.#reason;
  }

  /** Made when somebody asks for it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#over) this.#controller.abort(this.#reason ?? ended());
    return this.#controller.signal;
  }

  /** Calls `run` once the stream is over. */
  atEnd(run: () => void): void {
    if (this.#over) run();
    else this.#atEnd.push(run);
  }

  /** Sends all that `input` gives, then the end of this direction. */
  send(input: StreamInput): void {
    const source =
      Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]();
    if (this.#over) leave(source);
    else void this.#pump(source);
  }

  /** Tells the other side how much it may send beyond its first credit. */
  grant(): void {
    const window = this.line.window();
    const more = window - this.#granted - this.#waiting;
    if (more < window / 2) return;
    this.#granted += more;
    this.line.sendFrame({ stream: this.id, credit: more });
  }

  receiveMessage(data: Uint8Array): void {
    this.beginMessage(data.length);
    this.receivePart(data);
  }

  /** Whether parts are done with as soon as they were received. */
  get passesOn(): boolean {
    return this.#over || this.#inbox.passesOn;
  }

  /** A message of so many bytes, which come in parts. */
  beginMessage(bytes: number): void {
    this.#check();
    if (this.#over) return;
    if (bytes > this.#maxMessageBytes) {
      this.fail(tooLarge(this.#maxMessageBytes));
    } else if (this.#granted <= 0) {
      this.fail(new HedgerowError("overloaded", "the stream was sent more than asked for"));
    }
    this.#granted -= MESSAGE_COST_BYTES;
  }

  receivePart(data: Uint8Array): void {
    if (this.#over) return;
    const cost = costOf(data);
    if (!this.line.hasRoom(cost)) {
      this.fail(new HedgerowError("overloaded", "too much of all streams waits to be read"));
      return;
    }
    this.#granted -= data.length;
    this.#waiting += cost;
    if (!this.#isLeft) this.#keep(cost);
    this.#inbox.push(data);
  }

  receiveFrame({ credit, end }: StreamFrame): void {
    if (credit > 0 && !this.#over) {
      this.#credit += credit;
      if (this.#held !== null && this.#credit > 0) this.#flushOrQueue();
    }
    if (end === undefined) return;
    if (end.error !== undefined) this.#finish(fromBatchError(end.error));
    else if (this.role === "opener") this.#finish(null);
    else this.#inbox.end(null);
  }

  fail(error: HedgerowError): void {
    if (this.#over) return;
    this.line.sendFrame({ stream: this.id, end: { error: toBatchError(error) } });
    this.#finish(error);
  }

  /** Ends with the connection that it was on: there is nobody to tell. */
  cut(error: HedgerowError): void {
    this.#finish(error);
  }

  /** Sends what waits for its turn. */
  flush(): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    const lent = this.#write(held.data);
    if (lent === undefined) held.sent();
    else void lent.then(held.sent);
  }

  async #pump(source: Source): Promise<void> {
    this.#source = source;
    const share = new Share(this.line.turns);
    let isAsked = true;
    try {
      for (;;) {
        isAsked = true;
        const { done, value } = await source.next();
        isAsked = false;
        if (this.#over) return;
        if (done) break;
        const data = this.#bytesOf(value);
        this.#check();
        if (this.#over) return;
        const sent = this.#credit > 0 && this.line.writable ? this.#write(data) : this.#hold(data);
        if (sent !== undefined) await sent;
        if (this.#over) return;
        const turn = share.pass(data.length);
        if (turn === undefined) continue;
        await turn;
        if (this.#over) return;
      }
      this.#source = null;
      this.line.sendFrame({ stream: this.id, end: {} });
      if (this.role === "taker") this.#finish(null);
    } catch (error) {
      if (isAsked) this.#source = null; // it has ended by its error
      this.fail(this.#sourceFailure(error));
    }
  }

  #write(data: Uint8Array): Promise<void> | undefined {
    this.#credit -= costOf(data);
    this.#lent = this.line.sendMessage(this.id, data);
    return this.#lent;
  }

  #hold(data: Uint8Array): Promise<void> {
    return new Promise((sent) => {
      this.#held = { data, sent };
      if (this.#credit > 0) this.#flushOrQueue();
    });
  }

  #flushOrQueue(): void {
    if (this.line.writable) this.flush();
    else this.line.queue(this);
  }

  #bytesOf(value: Uint8Array | string): Uint8Array {
    const data = typeof value === "string" ? utf8.encode(value) : value;
    if (!(data instanceof Uint8Array)) {
      throw new HedgerowError("invalid_argument", "a stream carries Uint8Arrays and strings");
    }
    if (data.length > this.#maxMessageBytes) throw tooLarge(this.#maxMessageBytes);
    return data;
  }

  #sourceFailure(error: unknown): HedgerowError {
    if (this.role === "taker") return (this.rules.failure ?? publicError)(error);
    if (HedgerowError.is(error, "too_large", "invalid_argument")) return error;
    return new HedgerowError("canceled", "the input of the stream failed", { cause: error });
  }

  /** Fails the stream if it may not go on. */
  #check(): void {
    if (this.#over || this.rules.check === undefined) return;
    try {
      this.rules.check();
    } catch (error) {
      this.fail(publicError(error));
    }
  }

  #onTaken(message: Uint8Array): void {
    const cost = costOf(message);
    this.#waiting -= cost;
    if (this.#over) return;
    this.#keep(-cost);
    this.grant();
  }

  #keep(bytes: number): void {
    this.#kept += bytes;
    this.line.keep(bytes);
  }

  /** A handler may leave its input unread; a caller that leaves the replies has no more use of the stream. */
  #onLeft(): void {
    this.#isLeft = true;
    this.#keep(-this.#kept);
    if (this.role === "opener")
      this.fail(new HedgerowError("canceled", "the caller left the stream"));
  }

  #finish(error: HedgerowError | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#reason = error;
    this.#keep(-this.#kept);
    this.#inbox.end(error);
    const source = this.#source;
    this.#source = null;
    if (source !== null && this.#lent === undefined) leave(source);
    else if (source !== null) void this.#lent?.then(() => leave(source)); // which may use its buffer again
    this.#held?.sent();
    this.#held = null;
    this.#controller?.abort(error ?? ended());
    this.line.remove(this);
    for (const run of this.#atEnd.splice(0)) run();
  }
}

const utf8 = new TextEncoder();

/** Of a message that is sent, and of a message, or a part of one, that waits to be read. */
function costOf(data: Uint8Array): number {
  return data.length + MESSAGE_COST_BYTES;
}

/**
 * It may still be busy with its next message; nobody waits for that. Not at once: a generator in which the stream was
 * ended can be left when it has come to its next `yield`. What it throws then is of no use to anybody.
 */
function leave(source: Source): void {
  void (async () => {
    await null;
    await source.return?.();
  })().catch(() => {});
}

function tooLarge(maxBytes: number): HedgerowError {
  return new HedgerowError(
    "too_large",
    `a message of the stream is over ${maxBytes} bytes: split it`,
  );
}

function ended(): HedgerowError {
  return new HedgerowError("canceled", "the stream has ended");
}
