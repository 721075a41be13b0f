import type { RemotePlace } from "../catalog.ts";
import { discard } from "../../runtime/discard.ts";
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
    let mayBeUnderWay = false;
    const place = await this.inner.put(sent, signal, () => {
      mayBeUnderWay = true;
    });
    // The one node that was asked has said that it has all. To another one, a connection that is about to send what is
    // no more would break, with all that others have on it.
    if (!mayBeUnderWay) pieces.forEach(discard);
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
