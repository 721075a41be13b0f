import { describe, expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { CallOptions } from "../../src/runtime/runtime.ts";
import type { Fence } from "../../src/store/ports.ts";
import { expectCode } from "./errors.ts";
import { entry, type FullStore, type MakeWorld, useWorld } from "./world.ts";
import { lookedAtLater } from "../rpc/kit/wait.ts";

/** Every call of a store, once, on names of its own. */
function everyCall(
  { lock, log, semaphores, ping }: FullStore,
  fence: Fence,
  options?: CallOptions,
): Promise<unknown>[] {
  const takeOver = {
    name: "fresh",
    writer: "w:1",
    expectedToken: null,
    leaseMs: 2_000,
    minAgeMs: 0,
  };
  const permit = { owner: "o", holder: "h:1", incarnation: 1, grant: "g", detached: false };
  const change = { semaphore: "fresh", limit: 1, release: [], acquire: [permit] };
  return lookedAtLater([
    ping(options),
    lock.read("fresh", options),
    lock.acquire(takeOver, options),
    lock.renew(fence.name, fence.token, options),
    lock.release(fence.name, fence.token, options),
    log.append([entry("fresh", "1", "v")], fence, options),
    log.read("fresh", 0, options),
    log.readAfter("fresh", null, 1, options),
    log.locate("fresh", "1", options),
    log.keys(null, 1, options),
    log.trim([{ key: "fresh", before: 1 }], 1, 1, fence, options),
    semaphores.change([change], fence, options),
    semaphores.read("fresh", options),
  ]);
}

export function callsContract(makeWorld: MakeWorld): void {
  describe("calls", () => {
    const { world, store, other, fence } = useWorld(makeWorld);

    /** Whether nothing of everyCall's effects can be seen. */
    const expectNothingDone = async (claim: Fence): Promise<void> => {
      expect(await other().lock.read("fresh")).toBeNull();
      expect(await other().log.read("fresh", -1)).toEqual([]);
      expect(await other().log.read("__hedge/semaphore/fresh", -1)).toEqual([]);
      const row = await other().lock.read(claim.name);
      expect(row?.ageMs).toBeLessThan(Number.POSITIVE_INFINITY);
    };

    test("each is answered within a time-out", async () => {
      const claim = await fence();
      await Promise.all(everyCall(store(), claim, { timeoutMs: 5_000 }));
      await store().ping();
    });

    test("a call that was cancelled before it began does nothing", async () => {
      const claim = await fence();
      const signal = AbortSignal.abort();
      for (const call of everyCall(store(), claim, { signal })) await expectCode(call, "canceled");
      await expectNothingDone(claim);
    });

    test("a signal's own HedgerowError is the error", async () => {
      const claim = await fence();
      const reason = new HedgerowError("stopped", "the node is stopping");
      const signal = AbortSignal.abort(reason);
      for (const call of everyCall(store(), claim, { signal })) {
        expect(await expectCode(call, "stopped")).toBe(reason);
      }
      await expectNothingDone(claim);
    });

    test("a call without time left does nothing", async () => {
      const claim = await fence();
      for (const timeoutMs of [0, -5]) {
        for (const call of everyCall(store(), claim, { timeoutMs })) {
          await expectCode(call, "unavailable");
        }
      }
      await expectNothingDone(claim);
    });

    test("a closed store answers `stopped`, closes again, and leaves the others alone", async () => {
      const claim = await fence();
      await store().close();
      await store().close();
      for (const call of everyCall(store(), claim)) await expectCode(call, "stopped");
      await expectNothingDone(claim);
      await other().log.append([entry("k", "1", "v")], claim);
      await other().ping();
    });

    test("without a log table there is a lock, and neither log nor semaphores", async () => {
      const bare = await world().connect({ log: false });
      expect(bare.log).toBeNull();
      expect(bare.semaphores).toBeNull();
      const claim = await fence("demo");
      expect(await bare.lock.renew("demo", claim.token)).toBe("renewed");
      await bare.ping();
      await bare.close();
    });
  });
}
