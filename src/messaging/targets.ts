import type { HedgerowError } from "../errors.ts";
import type { Address } from "../rpc/port.ts";

/** What one member said, or why it did not. */
export type Reply =
  | { readonly node: Address; readonly data: Uint8Array }
  | { readonly node: Address; readonly error: HedgerowError };

export interface TargetOptions {
  readonly skipSelf?: boolean | undefined;
  readonly onlySendTo?: readonly Address[] | undefined;
}

/** To whom of the members a broadcast goes. */
export function targetsOf(
  members: readonly Address[],
  self: Address,
  { skipSelf = false, onlySendTo }: TargetOptions,
): Address[] {
  const only = onlySendTo && new Set(onlySendTo);
  // While a former process at an address counts still, two members have it.
  return [...new Set(members)].filter(
    (address) => !(skipSelf && address === self) && (only?.has(address) ?? true),
  );
}
