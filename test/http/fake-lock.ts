import type * as api from "../../src/node/api.ts";

export const TOKEN = "1735787045123456";

/** A lock whose one claim the test loses by hand, and what was asked of it. */
export function fakeLock(heldForMs: () => number) {
  const calls: unknown[][] = [];
  const lost = new AbortController();
  const state = { released: 0 };
  const held: api.HeldLock = {
    name: "jobs",
    token: TOKEN,
    get heldForMs() {
      return heldForMs();
    },
    signal: lost.signal,
    release: async () => void state.released++,
    [Symbol.asyncDispose]: async () => {},
  };
  const lock = (name: string, options?: api.LockOptions): api.Lock => {
    calls.push(["lock", name, options?.leaseMs]);
    const take = (how: string) => async (call?: { timeoutMs?: number | undefined }) => {
      calls.push([how, call?.timeoutMs]);
      return held;
    };
    return { name, acquire: take("acquire"), tryAcquire: take("tryAcquire") };
  };
  return { lock, calls, lost, state };
}
