import { expect, test } from "bun:test";
import { entry, type FullStore, takeFence } from "../contract/world.ts";
import { memoryWorld, sqliteWorld } from "../contract/worlds.ts";

test("calls of the memory store resolve on microtasks alone", async () => {
  const world = await memoryWorld();
  const store = (await world.connect({ log: true })) as FullStore;
  let taskRan = false;
  const task = setImmediate(() => {
    taskRan = true;
  });
  const claim = await takeFence(store, "leader");
  for (let n = 0; n < 100; n++) {
    await store.lock.renew("leader", claim.token);
    await store.log.append([entry("k", `${n}`, "v")], claim);
    await store.log.read("k", -1);
  }
  expect(taskRan).toBe(false);
  clearImmediate(task);
});

test("who writes to SQLite again and again leaves the event loop its turns", async () => {
  await using world = await sqliteWorld();
  const store = (await world.connect({ log: true })) as FullStore;
  let turns = 0;
  const ticks = setInterval(() => turns++, 1);
  for (let n = 0; turns < 5; n++) {
    expect(n).toBeLessThan(5_000);
    await store.log.append([entry("k", `${n}`, "v")], null);
  }
  clearInterval(ticks);
  await store.close();
});
