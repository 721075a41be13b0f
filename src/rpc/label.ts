/**
 * Names the sender's cluster on every request to a peer: clusters that share a log table share the authority
 * in it, so that a certificate does not tell them apart.
 */
export const LABEL_HEADER = "hedgerow-label";

/** A label, which may hold any characters, as a header may. */
export function labelToHeader(label: string): string {
  return encodeURIComponent(label);
}
