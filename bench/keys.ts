import type { Info } from "./roles.ts";

/** 64 B. */
export const VALUE = "v".repeat(64);
/** Puts under way at once while a store is filled. */
const FILLERS = 64;

export function keyOf(n: number): string {
  return `key-${String(n).padStart(6, "0")}`;
}

/** Keys in turn, shared out between the client processes so that they do not meet. */
export function keysFor({ client, clients, keys }: Info): (n: number) => string {
  return (n) => keyOf((n * Number(clients) + Number(client)) % Number(keys));
}

/** Puts every key once, by the first of the client processes. */
export async function fill(
  { client, keys }: Info,
  put: (key: string) => Promise<unknown>,
): Promise<void> {
  let next = client === 0 ? 0 : Number(keys);
  const filler = async () => {
    while (next < Number(keys)) await put(keyOf(next++));
  };
  await Promise.all(Array.from({ length: FILLERS }, filler));
}
