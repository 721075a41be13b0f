import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import { HedgerowError } from "../errors.ts";
import { Operation } from "../runtime/operation.ts";
import type { CallOptions } from "../runtime/runtime.ts";
import {
  type ClientConnection,
  noRoom,
  type UnsentReplies,
  type Waiter,
  type Waiting,
} from "./unsent.ts";

/** Smaller replies, in bytes, count only where that costs nothing. */
const SMALL_BYTES = 64 * 1024;
/** Of larger ones so many bytes are sent at a time: what may stay of one that is cut off. */
const PIECE_BYTES = 256 * 1024;

type WaitOptions = CallOptions & { readonly timeoutMs: number };

/** What one unary call replies, from before it is begun until its client has taken all. */
export class ReplyRoom implements Waiting {
  #connection: ClientConnection | null = null;
  #reserved = 0;
  #unsent = 0;
  #released = false;
  #cutBody = () => {};

  /** `connectionOf` is asked only where it matters; `onCut` ends the reply, or its connection. */
  constructor(
    private readonly all: UnsentReplies,
    private readonly connectionOf: () => ClientConnection,
    private readonly onCut: () => void,
  ) {}

  /**
   * Before anything is done: waits until as much may be replied. Throws `overloaded` if that takes longer than
   * `timeoutMs`.
   */
  async reserve(bytes: number, call: WaitOptions): Promise<void> {
    const connection = this.#connectionNow();
    if (!this.all.tryReserve(connection, bytes)) await this.#wait(connection, bytes, call);
    this.#reserved += bytes;
    if (!this.#released) return;
    this.#giveBack();
    throw new HedgerowError("canceled", "the caller went away");
  }

  /** The same for calls that may take long, and whose reply nobody foresees: they have room, or are refused. */
  check(): void {
    this.all.checkRoom(this.#connectionNow());
  }

  /** So many bytes are to be sent from now on. Throws `outcome_unknown` if that is far too much. */
  settle(bytes: number): void {
    if (this.#released) return;
    const connection = this.#connectionNow();
    if (this.#reserved === 0 && bytes >= SMALL_BYTES) this.all.checkDone(connection, bytes);
    this.all.settle(connection, this, this.#reserved, bytes);
    this.#reserved = 0;
    this.#unsent += bytes;
  }

  /** All was sent, or the caller has gone. Idempotent. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#giveBack();
  }

  cut(): void {
    this.#cutBody();
    this.onCut();
    this.release();
  }

  /** A whole reply as the body of a response. Throws as `settle`. */
  bodyOf(
    reply: Uint8Array<ArrayBuffer>,
    caller: Pick<Request, "signal">,
  ): ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> {
    if (reply.length < SMALL_BYTES) {
      this.release();
      return reply;
    }
    this.settle(reply.length);
    const connection = this.#connectionNow();
    caller.signal.addEventListener("abort", () => this.release(), { once: true });
    let rest: Uint8Array | null = reply;
    let sent = 0;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#cutBody = () => {
            rest = null; // Bun keeps the stream as long as the connection
            controller.error(noRoom());
          };
        },
        pull: (controller) => {
          connection.takenBytes += sent; // what was given before
          const left = rest;
          if (left === null) {
            this.release();
            return controller.close();
          }
          const isLast = left.length <= PIECE_BYTES;
          const piece = isLast ? left : left.slice(0, PIECE_BYTES);
          rest = isLast ? null : left.subarray(PIECE_BYTES);
          sent = piece.length;
          controller.enqueue(piece);
        },
        cancel: () => this.release(),
      },
      { highWaterMark: 0 },
    );
  }

  /** A reply of Connect's own handlers, as they make it. Whoever sends it releases its room. */
  async *counted(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of body) {
      this.settle(chunk.length);
      yield chunk;
    }
  }

  #connectionNow(): ClientConnection {
    this.#connection ??= this.connectionOf();
    return this.#connection;
  }

  async #wait(connection: ClientConnection, bytes: number, call: WaitOptions): Promise<void> {
    const admitted = Promise.withResolvers<void>();
    const waiter: Waiter = { bytes, admit: admitted.resolve };
    using operation = new Operation(this.all.clock, "waiting for room", call, call.timeoutMs);
    this.all.wait(connection, waiter);
    try {
      await operation.race(admitted.promise);
    } catch (error) {
      if (!connection.waiters.has(waiter)) this.all.release(connection, this, bytes, 0);
      this.all.leave(connection, waiter);
      throw HedgerowError.is(error, "timeout") ? noRoom() : error;
    }
  }

  #giveBack(): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.all.release(connection, this, this.#reserved, this.#unsent);
    this.#reserved = 0;
    this.#unsent = 0;
  }
}

/** With which handlers of Connect's are told of the room that their reply has. */
export const REPLY_ROOM = createContextKey<ReplyRoom | undefined>(undefined, {
  description: "room for the reply",
});

/** Undefined where nobody bounds what waits. */
export function replyRoomOf({ values }: HandlerContext): ReplyRoom | undefined {
  return values.get(REPLY_ROOM);
}
