import { type Clock, type Random, type Runtime, ulid } from "./runtime.ts";

// What every platform has that has fetch: browsers, Node, Deno, Bun. For the exported client alone, which may touch
// nothing else of the machine: a node's leases need the clock of system.ts.

const clock: Clock = {
  // Stands still while a machine is suspended: calls wait longer then, and nothing else depends on it.
  now: () => performance.now(),
  wallMicros: () => Date.now() * 1e3,
  schedule(ms, run) {
    const timer = setTimeout(run, Math.min(ms, 2 ** 31 - 1));
    return { cancel: () => clearTimeout(timer) };
  },
  bootId: "",
};

const random: Random = {
  next: Math.random,
  id: () => ulid(Date.now(), () => crypto.getRandomValues(new Uint8Array(1))[0] as number),
};

export function webRuntime(): Runtime {
  return { clock, random };
}
