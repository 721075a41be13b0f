import type { RemotePlace } from "./catalog.ts";
import type { Sealed } from "./sealed.ts";

/** The other nodes' memory and disks, as one store sees them. */
export interface Elsewhere {
  /**
   * Keeps the segment on another node. Throws `no_space`, and what the signal aborts with. `onFailed` is called for each
   * node that it was sent to in vain: of that, some may be on its way still, from where it is.
   */
  put(sealed: Sealed, signal: AbortSignal, onFailed?: () => void): Promise<RemotePlace>;
  /**
   * Fills the beginning of `into`, which has `fetchBytes` of the place, with the segment's bytes; `onBytes` may be told
   * how many are there, and fewer where they come anew. Throws `data_lost` if they are gone, `out_of_reach` if the node
   * that keeps them does not answer for a while, and what the signal aborts with.
   */
  fetch(
    place: RemotePlace,
    into: Uint8Array,
    signal: AbortSignal | undefined,
    onBytes?: (end: number) => void,
  ): Promise<void>;
  /** Frees all of the store's segments, in the background; leases free what this does not reach. */
  free(): void;
}
