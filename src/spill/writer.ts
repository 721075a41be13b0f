import { HedgerowError } from "../errors.ts";
import type { SpillWriter } from "./api.ts";
import type { Appender } from "./appender.ts";

const encoder = new TextEncoder();

export class Writer implements SpillWriter {
  #closed = false;

  constructor(
    private readonly name: string,
    private readonly appender: Appender,
    private readonly release: () => void,
  ) {}

  append(record: Uint8Array | string): Promise<void> | undefined {
    if (this.#closed) throw closedWriter(this.name);
    return this.appender.append(bytesOf(record));
  }

  async appendAll(
    records: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
  ): Promise<void> {
    for await (const record of records) {
      const taken = this.append(record);
      if (taken !== undefined) await taken;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Whoever has no types may give anything: lengths that are none would spoil the segment. */
function bytesOf(record: unknown): Uint8Array {
  if (typeof record === "string") return encoder.encode(record);
  if (record instanceof Uint8Array) return record;
  const given = record === null ? "null" : typeof record;
  throw new HedgerowError(
    "invalid_argument",
    `a record of the kind ${given}: give a string or a Uint8Array`,
  );
}

function closedWriter(name: string): HedgerowError {
  return new HedgerowError("not_found", `this writer of spill store ${name} is closed`);
}
