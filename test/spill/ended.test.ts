import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { EndedStores } from "../../src/spill/ended.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { spillOf } from "./kit.ts";

test("a store that has expired, or was closed, is remembered: who asks for it is told when", async () => {
  const clock = new ManualClock();
  const spill = spillOf({ clock });
  const store = spill.store("a", { expiryMs: 5_000 });
  clock.pass(5_000);
  expect(() => store.writer()).toThrow("spill store a has expired, as nobody used it for 5000 ms");
  clock.pass(12_000);
  expect(() => spill.find("a")).toThrow("it expired, as nobody used it, 12 s ago");
  const again = spill.store("a");
  await again.close();
  clock.pass(3_000);
  expect(() => again.writer()).toThrow("spill store a was closed: open it anew");
  expect(() => spill.find("a")).toThrow("it was closed 3 s ago");
  expect(() => spill.find("b")).toThrow("it lives where it was written");
  const error: unknown = await again.at(0).catch((thrown: unknown) => thrown);
  expect(HedgerowError.is(error, "not_found")).toBe(true);
});

test("so many are remembered, the last ones", () => {
  const ended = new EndedStores(new ManualClock());
  for (let i = 0; i < 1_500; i++) ended.add(`store ${i % 1_200}`, "closed");
  expect(ended.storyOf("store 299")).not.toBeNull(); // the last one
  expect(ended.storyOf("store 1199")).not.toBeNull();
  expect(ended.storyOf("store 300")).toBeNull();
});

test("the stores of a node are listed by name, with limits and users", async () => {
  const spill = spillOf();
  spill.store("b", { memoryBytes: 1 << 20, expiryMs: 1_000 });
  await using writer = spill.store("a").writer();
  await writer.append("x");
  expect(spill.all().map(({ name }) => name)).toEqual(["a", "b"]);
  const [a, b] = spill.all().map((store) => store.stats());
  expect([a?.references, b?.references]).toEqual([1, 0]);
  expect(b?.limits).toEqual({ memoryBytes: 1 << 20, diskBytes: 64 << 20, expiryMs: 1_000 });
  const store = spill.find("a");
  await spill.stop();
  expect(store.stats().references).toBe(0);
  expect(() => spill.all()).toThrow("stopping");
});
