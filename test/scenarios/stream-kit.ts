import { HedgerowError } from "../../src/errors.ts";
import type { StreamContext, StreamHandler } from "../../src/node/api.ts";
import { sleep } from "../../src/runtime/operation.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import { Story } from "./world.ts";

/** What a handler saw of one stream. */
export interface Served {
  readonly node: string;
  readonly context: StreamContext;
  readonly messages: string[];
  /** How its input ended; null while it has not. */
  end: HedgerowError | "well" | null;
  left: boolean;
}

/** A story whose nodes echo streams, and note what they served. */
export function streamStory(options: { nodes?: number } = {}): { story: Story; served: Served[] } {
  const served: Served[] = [];
  const echoAt = (node: string): StreamHandler =>
    async function* (messages, context) {
      const record: Served = { node, context, messages: [], end: null, left: false };
      served.push(record);
      try {
        for await (const message of messages) {
          record.messages.push(Buffer.from(message).toString());
          yield message;
        }
        record.end = "well";
      } catch (error) {
        record.end = HedgerowError.from(error);
        throw error;
      } finally {
        record.left = true;
      }
    };
  const story = new Story({
    ...options,
    configure: (address) => ({ onStream: echoAt(address), onStreamBroadcast: echoAt(address) }),
  });
  return { story, served };
}

/** A message each so many milliseconds, for ever. */
export async function* ticking(clock: Clock, everyMs: number): AsyncGenerator<string> {
  for (let i = 0; ; i++) {
    yield `${i}`;
    await sleep(clock, everyMs);
  }
}

/** Reads a stream to its end. */
export class Reader<T = Uint8Array> {
  readonly received: T[] = [];
  end: HedgerowError | "well" | null = null;

  constructor(replies: AsyncIterable<T>) {
    void this.#read(replies);
  }

  async #read(replies: AsyncIterable<T>): Promise<void> {
    try {
      for await (const reply of replies) this.received.push(reply);
      this.end = "well";
    } catch (error) {
      this.end = HedgerowError.from(error);
    }
  }
}
