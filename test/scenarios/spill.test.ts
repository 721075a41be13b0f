import { expect, test } from "bun:test";
import type { SpillStore } from "../../src/spill/api.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { checkAll, pour } from "../spill/kit.ts";
import {
  claim,
  EXPIRY_MS,
  incarnationAt,
  keptBy,
  knows,
  RECORD_BYTES,
  RECORDS,
  spilled,
} from "./spill-kit.ts";
import type { Story } from "./world.ts";

/** The victim outbids what is claimed in its name. */
function forge(story: Story, listener: SimulatedNode, victim: SimulatedNode): void {
  const incarnation = claim(story, listener, victim);
  story.until("it is outbid", 10_000, () => incarnationAt(listener, victim) > incarnation);
}

test("P5: an owner whose incarnation is claimed by another one outbids it, and loses nothing of what it has elsewhere", async () => {
  const { story, owner, holder, store } = await spilled();
  const before = keptBy(holder);
  forge(story, holder, owner);
  story.pass(2 * EXPIRY_MS);
  expect(keptBy(holder)).toBe(before);
  forge(story, holder, owner);
  const read = story.outcome(checkAll(store, RECORD_BYTES));
  expect([read.error, read.value]).toEqual([null, RECORDS]);
  // What it sends from now on belongs to the same process.
  expect(story.outcome(pour(store, RECORDS, RECORDS + 300, RECORD_BYTES)).error).toBeNull();
  story.pass(2 * EXPIRY_MS);
  const again = story.outcome(checkAll(store, RECORD_BYTES));
  expect([again.error, again.value]).toEqual([null, RECORDS + 300]);
});

test("P3: a holder whose incarnation is claimed by another one keeps what it has", async () => {
  const { story, owner, holder, store } = await spilled();
  forge(story, owner, holder);
  story.pass(2 * EXPIRY_MS);
  expect(story.outcome(pour(store, RECORDS, RECORDS + 300, RECORD_BYTES)).error).toBeNull();
  const read = story.outcome(checkAll(store, RECORD_BYTES));
  expect([read.error, read.value]).toEqual([null, RECORDS + 300]);
});

test("P5: an owner that is started anew at its address: the others free what they kept as soon as they hear of it", async () => {
  const { story, owner, holder } = await spilled();
  story.cluster.crash(owner);
  story.cluster.restart(owner);
  const tookMs = story.until("it is freed", EXPIRY_MS, () => keptBy(holder) === 0);
  expect(tookMs).toBeLessThan(3_000);
});

test("P5: an owner that does not come back: the others free what they kept within the expiry", async () => {
  const { story, owner, holder } = await spilled();
  story.cluster.crash(owner);
  story.until("it is freed", EXPIRY_MS, () => keptBy(holder) === 0);
});

/** What an append of more than a segment is told, null for nothing. */
function told(story: Story, store: SpillStore): string | null {
  const { count } = store;
  return story.outcome(pour(store, count, count + 300, RECORD_BYTES)).error?.code ?? null;
}

test("P3: two halves that meet again within the expiry: writers are told meanwhile, and nothing is lost", async () => {
  const { story, owner, holder, store } = await spilled();
  const kept = keptBy(holder);
  story.cluster.partition([owner], false);
  story.until("the holder is given up", 15_000, () => owner.core.members().length === 1);
  story.until("writers are told", 5_000, () => told(story, store) === "out_of_reach");
  story.pass(EXPIRY_MS / 2); // without a renewal: the next one by itself may be too late
  story.cluster.network.healAll();
  story.until("both know both", 5_000, () => story.cluster.nodes.every((node) => knows(node, 2)));
  story.until("they may go on", 100, () => told(story, store) !== "out_of_reach");
  expect(told(story, store)).not.toBe("data_lost");
  story.pass(2 * EXPIRY_MS);
  expect(keptBy(holder)).toBeGreaterThanOrEqual(kept);
  const read = story.outcome(checkAll(store, RECORD_BYTES));
  expect([read.error, read.value]).toEqual([null, store.count]);
});

test("P3: two halves that meet again after the expiry: what was kept is freed there, and lost to its owner", async () => {
  const { story, owner, holder, store } = await spilled();
  story.cluster.partition([owner], false);
  story.until("the lease ends", 2 * EXPIRY_MS, () => keptBy(holder) === 0);
  story.pass(EXPIRY_MS);
  story.cluster.network.healAll();
  story.until("both know both", 120_000, () => story.cluster.nodes.every((node) => knows(node, 2)));
  story.pass(EXPIRY_MS);
  const read = story.outcome(checkAll(store, RECORD_BYTES));
  expect(read.error?.code).toBe("data_lost");
  expect(read.error?.lost?.from).toBeGreaterThan(100);
  expect(told(story, store)).toBe("data_lost");
});

test("P3: a holder that is started anew has lost what it had, and keeps what comes then", async () => {
  const { story, holder, store } = await spilled();
  story.cluster.crash(holder);
  story.cluster.restart(holder);
  story.until("writers are told", 10_000, () => told(story, store) === "data_lost");
  const next = story.cluster.nodes[0]?.core.spill.store("b") as SpillStore;
  expect(story.outcome(pour(next, 0, 300, RECORD_BYTES)).error).toBeNull();
  story.pass(EXPIRY_MS);
  expect(told(story, store)).toBe("data_lost");
});
