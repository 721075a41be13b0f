import { HedgerowError } from "../../errors.ts";
import type { ScratchFile, ScratchFiles } from "../../runtime/scratch.ts";
import type { Received } from "../../rpc/port.ts";
import { bufferBytes, type Buffers } from "../buffers.ts";
import { discardPart } from "../../runtime/discard.ts";
import { chunksOf } from "./wire.ts";

/** A segment that is kept for another node: bytes that mean nothing here. */
export interface Held {
  /** In messages, to be sent. They stay what they are until the last one was asked for, also when it is freed meanwhile. */
  chunks(): Iterable<Uint8Array>;
  free(): void;
}

/** Bytes of one write to a file. */
const WRITE_BYTES = 1024 * 1024;
/** What a message counts beside its bytes while it waits for that: empty ones would be without bound. */
const CHUNK_COST_BYTES = 64;

/**
 * In a buffer of `bufferBytes`. Throws what the input throws, and `invalid_argument` for another number of bytes than was
 * announced. `giveBack` is called once, when what is held is freed.
 */
export async function holdInMemory(
  input: Received,
  bytes: number,
  buffers: Buffers,
  giveBack: () => void,
): Promise<Held> {
  const size = bufferBytes(bytes);
  const buffer = buffers.get(size);
  let at = 0;
  await input.each((chunk) => {
    checkLength(at + chunk.length, bytes);
    buffer.bytes.set(chunk, at);
    at += chunk.length;
  });
  checkWhole(at, bytes);
  return {
    chunks() {
      buffer.pins++;
      const chunks = chunksOf([buffer.bytes.subarray(0, bytes)]);
      return new PinnedChunks(chunks, () => buffer.pins--);
    },
    free() {
      giveBack();
      buffers.put(buffer);
    },
  };
}

/** Unpins what they are part of behind the last one, or when they are left: a generator that has not begun would not. */
class PinnedChunks implements IterableIterator<Uint8Array, undefined> {
  #unpin: (() => void) | null;

  constructor(
    private readonly chunks: Iterator<Uint8Array, undefined>,
    unpin: () => void,
  ) {
    this.#unpin = unpin;
  }

  next(): IteratorResult<Uint8Array, undefined> {
    const step = this.chunks.next();
    return step.done === true ? this.return() : step;
  }

  return(): IteratorReturnResult<undefined> {
    this.#unpin?.();
    this.#unpin = null;
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** The same in a file. Throws the system's errors, too. */
export async function holdOnDisk(
  input: AsyncIterable<Uint8Array>,
  bytes: number,
  files: ScratchFiles,
  giveBack: () => void,
): Promise<Held> {
  const file: ScratchFile = files.create();
  try {
    let waiting: Uint8Array[] = [];
    let waitingBytes = 0;
    let received = 0;
    for await (const chunk of input) {
      received += chunk.length;
      checkLength(received, bytes);
      waiting.push(chunk);
      waitingBytes += chunk.length + CHUNK_COST_BYTES;
      if (waitingBytes >= WRITE_BYTES) {
        await file.write(waiting);
        waiting.forEach(discardPart);
        waiting = [];
        waitingBytes = 0;
      }
    }
    await file.write(waiting);
    waiting.forEach(discardPart);
    checkWhole(received, bytes);
  } catch (error) {
    file.close();
    throw error;
  }
  return {
    chunks() {
      const chunks = chunksOf([file.map()]);
      file.pin();
      return new PinnedChunks(chunks, () => file.unpin());
    },
    free() {
      giveBack();
      file.close();
    },
  };
}

function checkLength(received: number, announced: number): void {
  if (received > announced) throw wrongLength(announced, `more than ${announced}`);
}

function checkWhole(received: number, announced: number): void {
  if (received < announced) throw wrongLength(announced, String(received));
}

function wrongLength(announced: number, received: string): HedgerowError {
  const message = `a segment of ${announced} bytes was announced, ${received} came`;
  return new HedgerowError("invalid_argument", message);
}
