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
    return this.appender.append(typeof record === "string" ? encoder.encode(record) : record);
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

function closedWriter(name: string): HedgerowError {
  return new HedgerowError("not_found", `this writer of spill store ${name} is closed`);
}
