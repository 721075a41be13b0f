import { expect, test } from "bun:test";
import { whileHeld } from "../../src/http/hold.ts";
import { SignsOfLife } from "../../src/http/signs-of-life.ts";
import type { Clock } from "../../src/runtime/runtime.ts";

/** A clock that jumps to whatever is waited for, and counts how often that was. */
function jumpingClock() {
  let now = 0;
  let waits = 0;
  const clock: Clock = {
    bootId: "test",
    now: () => now,
    wallMicros: () => now * 1e3,
    schedule(ms, run) {
      waits++;
      const timer = setImmediate(() => {
        now += ms;
        run();
      });
      return { cancel: () => clearImmediate(timer) };
    },
  };
  return { clock, waits: () => waits };
}

test("a claim that was got at its last moment is told of no more often once it has been renewed", async () => {
  const { clock, waits } = jumpingClock();
  const end = new AbortController();
  const claim = {
    signal: new AbortController().signal,
    get heldForMs() {
      return clock.now() === 0 ? 3 : 9_000;
    },
    release: async () => {},
  };
  const caller = { signal: end.signal, holder: new SignsOfLife(clock).listen("") };
  const told: number[] = [];
  for await (const ms of whileHeld(clock, claim, caller, (forMs: number) => forMs)) {
    told.push(ms);
    if (clock.now() >= 60_000) end.abort();
  }
  expect(told.slice(0, 2)).toEqual([3, 9_000]);
  expect(told.length).toBe(22);
  expect(waits()).toBeLessThan(30);
});

test("a claim is given up at the end of its call, also where nobody takes what is told of it", async () => {
  const { clock } = jumpingClock();
  const end = new AbortController();
  let releases = 0;
  const claim = {
    signal: new AbortController().signal,
    heldForMs: 9_000,
    release: async () => void releases++,
  };
  const caller = { signal: end.signal, holder: new SignsOfLife(clock).listen("") };
  const messages = whileHeld(clock, claim, caller, (forMs: number) => forMs);
  expect(await messages.next()).toEqual({ done: false, value: 9_000 });
  end.abort(); // the message is still being sent
  expect(releases).toBe(1);
  expect((await messages.next()).done).toBe(true);
  expect(releases).toBe(1);
});
