import { expect, test } from "bun:test";
import { CallCounts } from "../../src/observe/call-counts.ts";
import { systemClock } from "../../src/runtime/system.ts";

const CALLS = 20_000;
const ROUNDS = 15;
/** A put takes 20,000 ns of a node's processor at the least (bench put): this would be 5 % of it. */
const MAX_NS = 1_000;

/** Nanoseconds per call, of the best of some rounds: the others were disturbed. */
async function cost(call: () => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = Bun.nanoseconds();
    for (let i = 0; i < CALLS; i++) await call();
    best = Math.min(best, (Bun.nanoseconds() - startedAt) / CALLS);
  }
  return best;
}

test("counting and timing a put costs well under a microsecond", async () => {
  const counts = new CallCounts(systemClock(), ["put"]);
  const put = async () => 1;
  const bare = await cost(put);
  const counted = await cost(() => counts.track("put", put));
  expect(counted - bare).toBeLessThan(MAX_NS);
  const [[, { ok }] = ["", { ok: 0 }]] = [...counts];
  expect(ok).toBe(CALLS * ROUNDS);
  console.log(`counting a call: ${Math.round(counted - bare)} ns`);
});
