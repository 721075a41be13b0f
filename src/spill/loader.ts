import { HedgerowError, messageOf } from "../errors.ts";
import type { ScratchFile } from "../runtime/scratch.ts";
import type { Columns } from "./batch.ts";
import { bufferBytes } from "./buffers.ts";
import { discard } from "../runtime/discard.ts";
import { fetchBytes, type Loss, type Place, type StoredSegment } from "./catalog.ts";
import { RunningChecksums } from "./checksum.ts";
import type { Elsewhere } from "./elsewhere.ts";
import { lostRecords } from "./errors.ts";
import { type Layout, loadSealing, type Sealed, seal, unseal } from "./sealed.ts";

/** Of a segment that is looked at. Either is called, once. */
export interface Looking {
  /** Nobody looks at it any more. */
  release(): void;
  /** Whoever did has left, and may look at it still: what is in memory stays as it is. */
  leave(): void;
}

export interface Loaded extends Looking {
  readonly columns: Columns;
}

/** A segment as the bytes of an Arrow file. */
export interface LoadedFile extends Looking {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** At what is the reader's own. */
const LOOKING_AT_OWN: Looking = { release() {}, leave() {} };

/** Memory that a remote segment is fetched into, used again for the next one. */
export class FetchBuffer {
  #bytes = new Uint8Array(0);

  take(length: number): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length < length) {
      this.discard();
      this.#bytes = new Uint8Array(bufferBytes(length)); // the next ones are about as long
    }
    return this.#bytes.subarray(0, length);
  }

  /** Frees its memory: nobody looks at what was fetched. */
  discard(): void {
    discard(this.#bytes);
    this.#bytes = new Uint8Array(0);
  }
}

/** Brings segments before a reader, wherever they are. */
export class Loader {
  constructor(
    private readonly name: string,
    private readonly elsewhere: Elsewhere | null,
  ) {}

  /** Throws `data_lost` and `out_of_reach` with the range of records. A segment that counts as lost is tried all the same. */
  async load(stored: StoredSegment, into: FetchBuffer, signal?: AbortSignal): Promise<Loaded> {
    const { place } = stored;
    if (place.tier === "localMemory") {
      const { segment } = place;
      segment.pin();
      return { columns: segment, release: () => segment.unpin(), leave() {} };
    }
    return this.#fetch(stored, place, into, signal);
  }

  /** The segment as the bytes of an Arrow file. Throws as `load` does. */
  async file(stored: StoredSegment, into: FetchBuffer, signal?: AbortSignal): Promise<LoadedFile> {
    await loadSealing();
    const { place } = stored;
    if (place.tier !== "localMemory") return this.#fetch(stored, place, into, signal);
    return { bytes: joined(seal(place.segment), into), ...LOOKING_AT_OWN };
  }

  async #fetch(
    stored: StoredSegment,
    place: Exclude<Place, { tier: "localMemory" }>,
    into: FetchBuffer,
    signal?: AbortSignal,
  ): Promise<Loaded & LoadedFile> {
    const { layout } = place;
    try {
      if (place.tier === "localDisk") return lookInto(place.file, layout);
      if (this.elsewhere === null) throw new HedgerowError("internal", "no other nodes");
      const buffer = into.take(fetchBytes(place));
      const bytes = buffer.subarray(0, layout.bytes);
      const sums = new RunningChecksums(bytes, layout.lengths);
      await this.elsewhere.fetch(place, buffer, signal, (end) => sums.advance(end));
      return { bytes, columns: unseal(bytes, layout, sums), ...LOOKING_AT_OWN };
    } catch (error) {
      if (!HedgerowError.is(error, "data_lost", "out_of_reach")) throw error;
      const { message: why } = error;
      const lossOf = (loss: Loss) => lostRecords(this.name, stored, loss, "reading");
      if (error.code === "data_lost") throw lossOf({ code: "data_lost", why });
      const { lost } = stored; // of what is known to be gone nothing else is said, whoever does not answer
      const isGone = lost?.code === "data_lost";
      throw lossOf(isGone ? lost : { code: "out_of_reach", why });
    }
  }
}

/** The file stays as it is while somebody looks at it, also where its store is closed meanwhile. */
function lookInto(file: ScratchFile, layout: Layout): Loaded & LoadedFile {
  file.pin();
  const unpin = () => file.unpin();
  try {
    const bytes = mapped(file);
    return { bytes, columns: unseal(bytes, layout), release: unpin, leave: unpin };
  } catch (error) {
    unpin();
    throw error;
  }
}

/** Throws `data_lost` where the system refuses, as for want of memory or of mappings. */
function mapped(file: ScratchFile): Uint8Array<ArrayBuffer> {
  try {
    return file.map();
  } catch (error) {
    throw new HedgerowError("data_lost", messageOf(error), { cause: error });
  }
}

function joined({ pieces, layout }: Sealed, into: FetchBuffer): Uint8Array<ArrayBuffer> {
  const bytes = into.take(layout.bytes);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
