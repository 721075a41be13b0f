import {
  create,
  type DescMessage,
  equals,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";

/** What travels: the bytes where it was encoded, and what its receiver makes of it. */
export interface Parcel {
  readonly bytes: Uint8Array | null;
  open(): Message;
}

/**
 * The real codec, for all messages or, in long runs, for one of `every`: that one must come out as it went in, and
 * stands for the others, which are handed over as the objects that they are. Nobody writes to a message, so that
 * this changes no history; the codec is most of the cost of a simulated message.
 */
export class Codec {
  #packed = 0;

  constructor(private readonly every: number) {}

  pack(schema: DescMessage, init: object): Parcel {
    const message: Message = create(schema, init as Record<string, unknown>);
    if (this.#packed++ % this.every > 0) return { bytes: null, open: () => message };
    const bytes = toBinary(schema, message);
    return {
      bytes,
      open: () => {
        const opened = fromBinary(schema, bytes);
        if (this.every > 1 && !equals(schema, opened, message)) {
          throw new Error(`${schema.typeName} came out of the codec as another message`);
        }
        return opened;
      },
    };
  }
}
