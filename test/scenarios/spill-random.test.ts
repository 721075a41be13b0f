import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { Prng } from "../simulation/world/prng.ts";
import { checkAll, pour } from "../spill/kit.ts";
import { claim, EXPIRY_MS, keptBy, RECORD_BYTES, spilled } from "./spill-kit.ts";
import type { Story } from "./world.ts";

const SEEDS = process.env.HEDGEROW_LONG === "1" ? 500 : 25;
const FAULTS = 8;
const GENTLE = ["claim", "claim", "partition", "pause", "loss"] as const;
/** With a third of the expiry before and after it less than the expiry. */
const SHORT_MS = 9_000;

/**
 * Reads on behind what is lost, or out of reach where that may be; gives how many records are. Throws for another record
 * than there was.
 */
async function readAll(store: SpillStore, inReach: boolean): Promise<number> {
  let lost = 0;
  for (let from = 0; from < store.count;) {
    try {
      from += await checkAll(store, RECORD_BYTES, from);
    } catch (error) {
      if (!HedgerowError.is(error, "data_lost", "out_of_reach")) throw error;
      if (inReach && error.code === "out_of_reach") throw error;
      const range = error.lost ?? { from: -1, to: -1 };
      if (range.from < from || range.to <= range.from) throw new Error("a range that is none");
      lost += range.to - range.from;
      from = range.to;
    }
  }
  return lost;
}

function append(story: Story, store: SpillStore): void {
  const { count } = store;
  const { error } = story.outcome(pour(store, count, count + 50, RECORD_BYTES), 300_000);
  if (error !== null) expect(["data_lost", "out_of_reach", "no_space"]).toContain(error.code);
}

/** One fault and its end. Gentle ones lose nothing: a renewal falls between one and the next. */
function befall(story: Story, prng: Prng, owner: SimulatedNode, gentle: boolean): void {
  const { cluster } = story;
  const others = cluster.nodes.filter((node) => node !== owner);
  const other = prng.pick(others);
  const ms = gentle ? prng.between(100, SHORT_MS) : prng.between(100, 3 * EXPIRY_MS);
  const kind = prng.pick(gentle ? GENTLE : [...GENTLE, "restart" as const]);
  if (kind === "claim") {
    const all = [owner, ...others];
    for (const victim of all) if (prng.chance(0.5)) claim(story, prng.pick(all), victim);
  }
  if (kind === "restart") cluster.crash(other);
  if (kind === "pause") cluster.pause(other);
  if (kind === "partition") cluster.partition([prng.chance(0.5) ? owner : other], prng.chance(0.3));
  if (kind === "loss") Object.assign(cluster.network.faults, { loss: 0.1, duplication: 0.1 });
  story.pass(ms);
  cluster.network.healAll();
  cluster.resume(other);
  if (kind === "restart") cluster.restart(other);
}

test(`whatever befalls the nodes, records come back as they were or are named, and nothing is kept for long (${SEEDS} seeds)`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await play(seed);
    } catch (error) {
      throw new Error(`seed ${seed}: ${error}`, { cause: error });
    }
  }
}, 600_000);

async function play(seed: number): Promise<void> {
  const { story, owner, store } = await spilled({ nodes: 4, seed });
  const others = story.cluster.nodes.filter((node) => node !== owner);
  const prng = new Prng(seed);
  const gentle = prng.chance(0.5);
  for (let i = 0; i < FAULTS; i++) {
    befall(story, prng, owner, gentle);
    if (prng.chance(0.5)) append(story, store);
    if (prng.chance(0.3)) expect(story.outcome(readAll(store, false), 600_000).error).toBeNull();
    story.pass(gentle || prng.chance(0.5) ? EXPIRY_MS : prng.between(0, 5_000));
  }
  story.pass(EXPIRY_MS);
  const { value: lost, error } = story.outcome(readAll(store, true), 600_000);
  expect(error).toBeNull();
  if (gentle) expect(lost).toBe(0);
  if (prng.chance(0.5)) story.cluster.crash(owner);
  else expect(story.outcome(store.close()).error).toBeNull();
  story.until("nothing is kept any more", 1.1 * EXPIRY_MS, () =>
    others.every((node) => keptBy(node) === 0),
  );
}
