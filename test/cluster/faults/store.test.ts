import { expect, test } from "bun:test";
import { createDatabase } from "../../spanner/database.ts";
import { type Emulator, startEmulator } from "../../spanner/emulator.ts";
import { describeWithOwnEmulator } from "../../spanner/rule.ts";
import { Cluster, LONG, until } from "../processes.ts";
import { SPANNER } from "../stores.ts";
import { Figures } from "./figures.ts";
import { PERFECT, type Quality, Relay } from "./relay.ts";
import { Trial } from "./trial.ts";

const LEASE_MS = 2_000;
const OUTAGES_LEASES = LONG ? [1, 3, 1, 3, 1, 3] : [1, 3];
/** A connection carries some hundred chunks in a second. */
const BAD: Quality = { delayMs: 10, lost: 0.01, broken: 0.002 };
const WRITES_ON_A_BAD_WAY = LONG ? 1_000 : 50;
/** Leaders may change again and again. */
const BAD_WAY_MS = LONG ? 300_000 : 60_000;
const NAME = { project: "hedgerow", instance: "faults", database: "cluster" };

interface World extends AsyncDisposable {
  readonly emulator: Emulator;
  readonly relay: Relay;
  readonly trial: Trial;
}

/** A cluster whose way to an emulator of its own leads through a relay. */
async function start(): Promise<World> {
  const stack = new AsyncDisposableStack();
  try {
    const emulator = stack.use(await startEmulator());
    const path = await createDatabase(emulator.host, NAME);
    const relay = stack.use(await Relay.listen("127.0.0.1", emulator.host));
    const store = {
      flags: ["--store", `spanner:${path}`],
      env: { SPANNER_EMULATOR_HOST: relay.host },
    };
    const cluster = stack.use(await Cluster.start({ store }));
    await cluster.settled();
    const trial = new Trial(SPANNER, cluster);
    return { emulator, relay, trial, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

describeWithOwnEmulator("Spanner out of reach", () => {
  test(
    `${OUTAGES_LEASES.length} outages of one and three leases: nothing is lost, twice, out of order or held by too many`,
    async () => {
      await using world = await start();
      const { emulator, trial } = world;
      const figures = new Figures();
      for (const leases of OUTAGES_LEASES) {
        emulator.pause();
        await Bun.sleep(leases * LEASE_MS);
        emulator.resume();
        figures.worst(
          "ms at worst to recover from an outage",
          await trial.writable(trial.cluster.nodes),
        );
        await trial.settled();
      }
      expect(await trial.finish()).toEqual([]);
      expect(trial.cluster.living.length).toBe(trial.cluster.nodes.length);
      figures.add({ outages: OUTAGES_LEASES.length, ...trial.figures });
      figures.print("outages of Spanner");
    },
    OUTAGES_LEASES.length * 40_000,
  );

  test(
    "a way to it that delays, loses and breaks: the same, and writes go on",
    async () => {
      await using world = await start();
      const { relay, trial } = world;
      const figures = new Figures();
      relay.quality = BAD;
      await until("writes go on", BAD_WAY_MS, () => {
        return trial.recorder.acknowledged > WRITES_ON_A_BAD_WAY && relay.broken > 0;
      });
      relay.quality = PERFECT;
      await trial.settled();
      expect(await trial.finish()).toEqual([]);
      figures.add({ "chunks lost": relay.lost, "connections broken": relay.broken });
      figures.add(trial.figures);
      figures.print("a bad way to Spanner");
    },
    BAD_WAY_MS + 60_000,
  );
});
