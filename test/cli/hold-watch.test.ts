import { expect, test } from "bun:test";
import { type Held, untilLost } from "../../src/cli/hold/watch.ts";
import { Machine } from "../simulation/world/machine.ts";
import { Scheduler } from "../simulation/world/scheduler.ts";

/** When it is known to be lost, of messages of 8,900 ms each that are sent every 2,000 ms up to the third. */
async function lostAt(pauses: (machine: Machine, scheduler: Scheduler) => void): Promise<number> {
  const scheduler = new Scheduler();
  const machine = new Machine(scheduler);
  const message: IteratorResult<Held> = { done: false, value: { forMs: 8_900 } };
  const unread: IteratorResult<Held>[] = [];
  let wake = () => {};
  for (const at of [2_000, 4_000, 6_000]) {
    scheduler.after(at, () =>
      machine.arrive(() => {
        unread.push(message);
        wake();
      }),
    );
  }
  const later: AsyncIterator<Held> = {
    async next() {
      if (unread.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return unread.shift() as IteratorResult<Held>;
    },
  };
  let at = 0;
  void untilLost(machine, { forMs: 8_900 }, later).then(() => {
    at = scheduler.now;
  });
  pauses(machine, scheduler);
  for (let now = 50; at === 0 && now < 60_000; now += 50) {
    scheduler.runUntil(now);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return at;
}

test("messages prolong it, each from about when it came", async () => {
  const at = await lostAt(() => {});
  expect(at).toBeGreaterThan(6_000 + 8_900 - 600);
  expect(at).toBeLessThanOrEqual(6_000 + 8_900 + 50);
});

test("what came during a pause counts from before the pause", async () => {
  const at = await lostAt((machine, scheduler) => {
    scheduler.after(1_000, () => machine.pause());
    scheduler.after(8_000, () => machine.resume());
  });
  expect(at).toBeLessThanOrEqual(1_000 + 8_900 + 50);
});
