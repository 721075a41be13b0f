import type { DescMessage } from "@bufbuild/protobuf";

// For messages that come by the million: protobuf's own codec makes a dozen objects for each.

/** Writes the protobuf of one kind of message by hand. */
export interface MessageWriter<T = never> {
  /** Bytes that `write` takes. */
  sizeOf(message: T): number;
  /** From `at` on, where there is room for them. */
  write(message: T, into: Uint8Array, at: number): void;
}

/** Reads the common form of one kind of message by hand; null for all else, which protobuf's own codec reads. */
export type MessageReader<T = unknown> = (bytes: Uint8Array) => T | null;

/** By the kind of message. Kinds that are in neither have protobuf's own codec. */
export interface MessageWires {
  readonly writers: ReadonlyMap<DescMessage, MessageWriter>;
  readonly readers: ReadonlyMap<DescMessage, MessageReader>;
}

export const NO_WIRES: MessageWires = { writers: new Map(), readers: new Map() };
