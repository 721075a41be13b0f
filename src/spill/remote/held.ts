import { HedgerowError } from "../../errors.ts";
import type { ScratchFile, ScratchFiles } from "../../runtime/scratch.ts";
import { bufferBytes, type Buffers, type RecordBuffer } from "../buffers.ts";
import { discardPart } from "../discard.ts";
import { chunksOf } from "./wire.ts";

/** A segment that is kept for another node: bytes that mean nothing here. */
export interface Held {
  /** In messages, to be sent. If it is freed meanwhile they stay what they are, or become zeros: never other segments. */
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
  input: AsyncIterable<Uint8Array>,
  bytes: number,
  buffers: Buffers,
  giveBack: () => void,
): Promise<Held> {
  const size = bufferBytes(bytes);
  const buffer = buffers.get(size);
  let at = 0;
  for await (const chunk of input) {
    checkLength(at + chunk.length, bytes);
    buffer.bytes.set(chunk, at);
    at += chunk.length;
    discardPart(chunk);
  }
  checkWhole(at, bytes);
  return {
    chunks() {
      buffer.pins++;
      return unpinning(buffer, chunksOf([buffer.bytes.subarray(0, bytes)]));
    },
    free() {
      giveBack();
      buffers.put(buffer);
    },
  };
}

/** A buffer whose chunks are never asked for stays pinned, and so is not used again. */
function* unpinning(buffer: RecordBuffer, chunks: Iterable<Uint8Array>): Generator<Uint8Array> {
  try {
    yield* chunks;
  } finally {
    buffer.pins--;
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
        waiting = [];
        waitingBytes = 0;
      }
    }
    await file.write(waiting);
    checkWhole(received, bytes);
  } catch (error) {
    file.close();
    throw error;
  }
  return {
    chunks: () => chunksOf([file.map()]),
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
