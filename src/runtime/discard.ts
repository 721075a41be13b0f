/**
 * Frees a large array now, of which there must be no view that anybody looks at: the collector lets as much garbage pile
 * up as the heap is large, hundreds of megabytes beside a store's memory.
 */
export function discard({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/**
 * The same with what came over a connection, if nothing else lies in its memory: that is used for what comes next, while
 * it is in the cache.
 */
export function discardPart(part: Uint8Array): void {
  if (part.length === part.buffer.byteLength) discard(part);
}
