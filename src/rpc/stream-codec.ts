import {
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
  toJsonString,
} from "@bufbuild/protobuf";
import { decode, decodeJson, encode, messageFrom } from "./codec.ts";
import { EnvelopeWriter } from "./envelope-writer.ts";
import type { MessageReader, MessageWires, MessageWriter } from "./message-wire.ts";
import { type Format, replyTooLarge } from "./server.ts";

/** Enough to fill a write. */
export const BATCH_BYTES = 16 * 1024;
const utf8 = new TextEncoder();

export interface StreamCodecOptions {
  /** Of one message. */
  readonly maxBytes: number;
  readonly wires: MessageWires;
}

/** Between the messages of a stream and their bytes. */
export class StreamCodec {
  readonly #out = new EnvelopeWriter();
  readonly #reader: MessageReader | undefined;
  readonly #writer: MessageWriter | undefined;

  constructor(
    private readonly method: DescMethod,
    private readonly format: Format,
    private readonly options: StreamCodecOptions,
  ) {
    if (format === "json") return;
    this.#reader = options.wires.readers.get(method.input);
    this.#writer = options.wires.writers.get(method.output);
  }

  /** A request. Throws `invalid_argument`. */
  read(data: Uint8Array): never {
    const { input } = this.method;
    if (this.format === "json") return decodeJson(input, data) as never;
    return (this.#reader?.(data) ?? decode(input, data)) as never;
  }

  /** Keeps an answer for `sendTo`; false where enough is kept. Throws `too_large`. */
  add(given: MessageInitShape<DescMessage>): boolean {
    const writer = this.#writer;
    const { maxBytes } = this.options;
    if (writer !== undefined) {
      const size = writer.sizeOf(given as never);
      if (size > maxBytes) throw replyTooLarge(maxBytes);
      this.#out.addMessage(writer, given as never, size);
    } else {
      const data = this.#encode(given);
      if (data.length > maxBytes) throw replyTooLarge(maxBytes);
      this.#out.add(data);
    }
    return this.#out.used < BATCH_BYTES;
  }

  /** Gives what is kept to `send`, which has copied it when it returns. */
  sendTo<R>(send: (bytes: Uint8Array) => R): R | undefined {
    return this.#out.used === 0 ? undefined : this.#out.sendTo(send);
  }

  #encode(given: MessageInitShape<DescMessage>): Uint8Array {
    const { output } = this.method;
    return this.format === "json"
      ? utf8.encode(toJsonString(output, messageFrom(output, given)))
      : encode(output, given);
  }
}
