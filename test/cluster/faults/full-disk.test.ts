import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Cluster, LONG, until } from "../processes.ts";
import { SQLITE } from "../stores.ts";
import { Figures } from "./figures.ts";
import { MISSING_FOR_DISKS, SmallDisk } from "./small-disk.ts";
import { Trial } from "./trial.ts";

const LEASE_MS = 2_000;
const MEGABYTES = 32;
const FILLINGS = LONG ? 10 : 1;
/** A put of so much finds no room in what the files have already. */
const LARGE = 100_000;
const REFUSED_MS = 20_000;

describe.skipIf(MISSING_FOR_DISKS !== null)("a full disk under SQLite", () => {
  test(
    `${FILLINGS} times: puts fail and say so, no node ends, nothing is lost, and all goes on once there is room`,
    async () => {
      await using disk = await SmallDisk.make(MEGABYTES);
      const store = { flags: ["--store", `sqlite:${join(disk.folder, "hedgerow.db")}`], env: {} };
      await using cluster = await Cluster.start({ store });
      let leader = await cluster.settled();
      const trial = new Trial(SQLITE, cluster);
      const figures = new Figures();
      for (let i = 0; i < FILLINGS; i++) {
        const { acknowledged } = trial.recorder;
        await until("puts are written", REFUSED_MS, () => {
          return trial.recorder.acknowledged > acknowledged + 50;
        });
        disk.fill();
        const full = performance.now();
        await until("a put is refused by the store", REFUSED_MS, async () => {
          const put = { key: `large-${i}`, characters: LARGE };
          const result = await trial.recorder.put(leader, put);
          return result.kind === "refused" && result.code === "store_failed";
        });
        await Bun.sleep(Math.max(0, 1.5 * LEASE_MS - (performance.now() - full)));
        disk.free();
        figures.worst("ms at worst to recover", await trial.writable(cluster.nodes));
        leader = await trial.settled();
      }
      expect(await trial.finish()).toEqual([]);
      expect(cluster.living.length).toBe(cluster.nodes.length);
      figures.add({ fillings: FILLINGS, ...trial.figures });
      figures.print("a full disk");
    },
    FILLINGS * 60_000,
  );
});

if (MISSING_FOR_DISKS !== null) {
  process.stderr.write(`SKIPPED: a full disk under SQLite: ${MISSING_FOR_DISKS}\n`);
}
