// What every contender of bench/stream.ts does with its stream: messages one way, as fast as the other side reads.
import type { Load, LoadOptions } from "../load.ts";
import type { Info } from "../roles.ts";

/** A connection, over which streams can be opened. */
export interface StreamClient {
  /** A stream of messages to this side, of so many bytes each, for so long; resolves when all have been read. */
  down(bytes: number, seconds: number, onMessage: () => void): Promise<unknown>;
  /** A stream of messages to the other side; resolves when that has read them all. */
  up(messages: AsyncIterable<Uint8Array>): Promise<unknown>;
}

/** Between two looks at the clock. */
const MESSAGES_A_LOOK = 64;

/** The same message again and again, until the time is over. */
export async function* endless(
  bytes: number,
  seconds: number,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const message = new Uint8Array(bytes).fill(7);
  const end = performance.now() + seconds * 1e3;
  while (performance.now() < end) for (let i = 0; i < MESSAGES_A_LOOK; i++) yield message;
}

/** The load of a client that is told a `direction`, `up` or `down`, and the `bytes` of a message. */
export function streamLoad(client: StreamClient, info: Info) {
  const bytes = Number(info.bytes);
  return async ({ seconds }: LoadOptions): Promise<Load> => {
    const started = performance.now();
    let calls = 0;
    if (info.direction === "down") {
      await client.down(bytes, seconds, () => calls++);
    } else {
      async function* counted() {
        for await (const message of endless(bytes, seconds)) {
          calls++;
          yield message;
        }
      }
      await client.up(counted());
    }
    return { calls, elapsedMs: performance.now() - started, latencies: [] };
  };
}
