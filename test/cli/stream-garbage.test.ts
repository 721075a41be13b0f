import { expect, test } from "bun:test";
import { collectUnderStreams } from "../../src/cli/stream-garbage.ts";
import { Turns } from "../../src/rpc/turns.ts";
import { ManualClock } from "../rpc/kit/clock.ts";

function watched(costMs = 30) {
  const turns = new Turns(new ManualClock());
  let cpuMicros = 1_000_000;
  let collected = 0;
  const watching = collectUnderStreams(
    turns,
    () => ({ cpuMicros }),
    () => {
      collected++;
      cpuMicros += costMs * 1e3; // it takes some itself
    },
  );
  const use = (ms: number) => {
    cpuMicros += ms * 1e3;
    turns.onUsedUp?.();
  };
  return { watching, use, collected: () => collected };
}

test("garbage is collected once for so much processor time, while streams use up their turns", () => {
  const { use, collected } = watched();
  for (let i = 0; i < 100; i++) use(10);
  expect(collected()).toBe(5);
});

test("where much is in use, and a collection takes long, there are fewer", () => {
  const { use, collected } = watched(300);
  for (let i = 0; i < 1_000; i++) use(10);
  expect(collected()).toBe(7);
});

test("what other work took counts, too, but is seen only then", () => {
  const { use, collected } = watched();
  expect(collected()).toBe(0);
  use(5_000);
  expect(collected()).toBe(1);
  use(10);
  expect(collected()).toBe(1);
});

test("ends when it is told to", () => {
  const { watching, use, collected } = watched();
  watching[Symbol.dispose]();
  use(5_000);
  expect(collected()).toBe(0);
});
