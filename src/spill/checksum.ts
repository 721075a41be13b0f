/** Bytes that are taken in at once: as they come, they are in the processor's cache still, and cost a quarter. */
export const CHECKSUM_BLOCK_BYTES = 256 * 1024;

/**
 * XXH3 of bytes that come from first to last: of each block, seeded with where it begins, all joined by exclusive or. (A
 * block's sum as the next one's seed would hand on 32 of its 64 bits: Bun takes no more of a seed.)
 */
export class RunningChecksum {
  #sum = 0n;
  #at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  /** The first `end` bytes are there. */
  advance(end: number): void {
    for (; end - this.#at >= CHECKSUM_BLOCK_BYTES; this.#at += CHECKSUM_BLOCK_BYTES) {
      this.#sum ^= this.#upTo(this.#at + CHECKSUM_BLOCK_BYTES);
    }
  }

  /** Of the first `end` bytes; more may come. */
  of(end: number): bigint {
    this.advance(end);
    return this.#at < end ? this.#sum ^ this.#upTo(end) : this.#sum;
  }

  #upTo(end: number): bigint {
    return Bun.hash.xxHash3(this.bytes.subarray(this.#at, end), BigInt(this.#at));
  }
}

export function checksumOf(bytes: Uint8Array): bigint {
  return new RunningChecksum(bytes).of(bytes.length);
}

/** Of several pieces that lie one behind the other and come from first to last. */
export class RunningChecksums {
  #pieces: RunningChecksum[] = [];
  #end = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly lengths: readonly number[],
  ) {
    this.#begin();
  }

  /** The first `end` bytes are there; fewer than before: they come anew. */
  advance(end: number): void {
    if (end < this.#end) this.#begin();
    this.#end = end;
    let start = 0;
    for (const [i, length] of this.lengths.entries()) {
      if (end > start) this.#pieces[i]?.advance(Math.min(length, end - start));
      start += length;
    }
  }

  /** Of each piece, once all bytes are there. */
  all(): bigint[] {
    return this.#pieces.map((piece, i) => piece.of(this.lengths[i] as number));
  }

  #begin(): void {
    this.#pieces = cut(this.bytes, this.lengths).map((piece) => new RunningChecksum(piece));
  }
}

/** Views of the pieces that lie one behind the other in `bytes`. */
export function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  let end = 0;
  return lengths.map((length) => {
    end += length;
    return bytes.subarray(end - length, end);
  });
}
