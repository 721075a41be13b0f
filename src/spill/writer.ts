import { HedgerowError } from "../errors.ts";
import type { SpillWriter } from "./api.ts";
import type { Appender } from "./appender.ts";

const encoder = new TextEncoder();

export class Writer implements SpillWriter {
  /** Neither waiting nor closed: all that a record is asked on its short way. */
  #ready = true;
  #closed = false;

  constructor(
    private readonly name: string,
    private readonly appender: Appender,
    private readonly release: () => void,
  ) {}

  append(record: Uint8Array | string): Promise<void> | undefined {
    if (!this.#ready) throw this.#refusal();
    const taken = this.appender.append(bytesOf(record));
    return taken === undefined ? undefined : this.#wait(taken);
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
    this.#ready = false;
    this.#closed = true;
    this.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #wait(taken: Promise<void>): Promise<void> {
    this.#ready = false;
    try {
      await taken;
    } finally {
      this.#ready = !this.#closed;
    }
  }

  #refusal(): HedgerowError {
    if (this.#closed) {
      return new HedgerowError("not_found", `this writer of spill store ${this.name} is closed`);
    }
    return new HedgerowError(
      "overloaded",
      `spill store ${this.name}: await what this writer's append before gave, then append the next record`,
    );
  }
}

/** Whoever has no types may give anything: lengths that are none would spoil the segment. */
function bytesOf(record: unknown): Uint8Array {
  if (record instanceof Uint8Array) return record;
  if (typeof record === "string") return encoder.encode(record);
  const given = record === null ? "null" : typeof record;
  throw new HedgerowError(
    "invalid_argument",
    `a record of the kind ${given}: give a string or a Uint8Array`,
  );
}
