import { expect, test } from "bun:test";
import { Stretch, Turns } from "../../src/rpc/turns.ts";
import { ManualClock } from "./kit/clock.ts";

/** How many messages of so many bytes one turn takes. */
function taken(turns: Turns, bytes = 0): number {
  const stretch = new Stretch(turns);
  for (let messages = 1; messages < 1e6; messages++) {
    if (stretch.pass(bytes) !== undefined) return messages;
  }
  throw new Error("no end of it");
}

test("a turn takes so many messages, the next one as many again", async () => {
  const clock = new ManualClock();
  const turns = new Turns(clock);
  const first = taken(turns);
  const waiting = [turns.take(1), turns.take(1)];
  expect(waiting.every((turn) => turn instanceof Promise)).toBe(true);
  clock.pass(0);
  await Promise.all(waiting);
  expect(taken(turns)).toBe(first);
});

test("large messages count more", () => {
  const small = taken(new Turns(new ManualClock()), 10);
  expect(taken(new Turns(new ManualClock()), 256 * 1024)).toBeLessThan(small / 100);
});

test("a turn that was not used up is none the longer for the next", () => {
  const clock = new ManualClock();
  const turns = new Turns(clock);
  const whole = taken(new Turns(new ManualClock()));
  void turns.take(100);
  clock.pass(0);
  expect(taken(turns)).toBe(whole);
});
