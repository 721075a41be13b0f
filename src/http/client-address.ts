import {
  type ContextValues,
  createContextKey,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";

const ADDRESS = createContextKey("", { description: "IP address of the client" });

/** Tells handlers where the call comes from. */
export function withClientAddress(address: string | undefined): ContextValues {
  return createContextValues().set(ADDRESS, address ?? "");
}

/** Empty where no connection stands behind the call. */
export function clientAddressOf({ values }: HandlerContext): string {
  return values.get(ADDRESS);
}
