import { expect, test } from "bun:test";
import { Cluster, type Node, UNPROTECTED_BINARY, until } from "../processes.ts";
import { describeOnStores, type StoreKind } from "../stores.ts";
import { Holders, LOCK } from "./holders.ts";
import { Recorder } from "./recorder.ts";

/** Of a permit that nothing is heard of: 7 s at a lease of 2 s. The lock's is shorter. */
const GIVEN_ON_MS = 12_000;
/** Nobody gives anything back by himself. */
const USE_MS = 60_000;
const PAUSE_MS = 20;
/** Of all holders together, once there are two of the lock. */
const WRITES = 100;
const WRITES_MS = 20_000;
/** A stop may fall into a transaction, whose lock on the SQLite file it keeps: then nobody takes over. */
const MAX_TRIES = 5;

/**
 * Lets clients of one node have the lock and most permits, stops the node until clients of the others have them, and
 * lets it go on; what the checkers find. null if the others did not come to them. Writes do not carry the lock's
 * token: the store would refuse them even of this binary.
 */
async function stopHolder(kind: StoreKind): Promise<string[] | null> {
  await using store = await kind.make();
  await using cluster = await Cluster.start({ store, binary: UNPROTECTED_BINARY });
  const leader = await cluster.settled();
  const victim = cluster.nodes.find((node) => node !== leader) as Node;
  // Long enough for calls that are under way at the stop.
  const recorder = new Recorder(2 * GIVEN_ON_MS);
  const holders = new Holders(recorder, {
    usePermitMs: () => USE_MS,
    useLockMs: () => USE_MS,
    pauseMs: PAUSE_MS,
    fenced: false,
  });
  const all = [...holders.semaphores, LOCK];
  const first = holders.given(all, GIVEN_ON_MS);
  holders.begin([victim]);
  await first;
  holders.begin(cluster.nodes.filter((node) => node !== victim));
  await until("they write", GIVEN_ON_MS, () => holders.guardedWrites > 10);
  victim.signal("SIGSTOP");
  const givenOn = await holders.given(all, GIVEN_ON_MS).then(
    () => true,
    () => false,
  );
  victim.signal("SIGCONT");
  if (givenOn) {
    const before = holders.guardedWrites;
    await until("two write", WRITES_MS, () => holders.guardedWrites > before + WRITES);
  }
  await holders.stop();
  const violations = [...holders.violations(), ...(await recorder.violations(leader))];
  return givenOn ? violations : null;
}

describeOnStores("without fence and deadline checks", (kind) => {
  test(
    "control: the checkers find two holders of a lock, too many of permits, and histories out of order",
    async () => {
      for (let run = 0; run < MAX_TRIES; run++) {
        const violations = await stopHolder(kind);
        if (violations === null) continue;
        const found = (text: string) => violations.filter((each) => each.includes(text)).length;
        const counts = {
          permits: found("hold semaphore-"),
          lock: found(`hold ${LOCK}`),
          histories: found("is not linearizable"),
        };
        console.log(`control on ${kind.name}: ${JSON.stringify(counts)}`);
        expect(Math.min(...Object.values(counts))).toBeGreaterThan(0);
        return;
      }
      throw new Error(`the others came to nothing in ${MAX_TRIES} tries`);
    },
    MAX_TRIES * 60_000,
  );
});
