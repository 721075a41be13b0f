import type { RemotePlace } from "../catalog.ts";
import { discard } from "../discard.ts";
import type { Elsewhere } from "../elsewhere.ts";
import type { Sealed } from "../sealed.ts";
import { pack, unpack } from "./packing.ts";

/** Other nodes that are sent compressed segments: they keep them as they come, and know nothing of it. */
export class PackedElsewhere implements Elsewhere {
  constructor(private readonly inner: Elsewhere) {}

  async put(sealed: Sealed, signal: AbortSignal): Promise<RemotePlace> {
    const smaller = await pack(sealed, signal);
    if (smaller === null) return this.inner.put(sealed, signal);
    const { pieces, packed } = smaller;
    const { layout } = sealed;
    const { bytes, frames: lengths, checksums } = packed;
    const sent = { pieces, layout: { ...layout, bytes, lengths, checksums } };
    const place = await this.inner.put(sent, signal);
    for (const piece of pieces) discard(piece); // the other node has said that it has all
    return { ...place, layout, packed };
  }

  async fetch(
    place: RemotePlace,
    into: Uint8Array,
    signal?: AbortSignal,
    onBytes?: (end: number) => void,
  ): Promise<void> {
    const { layout, packed } = place;
    if (packed === undefined) return this.inner.fetch(place, into, signal, onBytes);
    const bytes = into.subarray(layout.bytes);
    await this.inner.fetch(place, bytes, signal);
    await unpack(bytes, packed, into.subarray(0, layout.bytes), signal);
  }

  free(): void {
    this.inner.free();
  }
}
