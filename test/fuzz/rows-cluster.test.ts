import { expect, test } from "bun:test";
import { lockRowName } from "../../src/lock/row-name.ts";
import { soundToken } from "../../src/store/judge.ts";
import { BARE_ROW } from "../../src/store/memory/lock-table.ts";
import { markerName } from "../../src/store/markers.ts";
import { NO_APPEND_ID } from "../../src/store/ports.ts";
import { LEASE_MS, Story } from "../scenarios/world.ts";
import { asyncRounds, boundMs, rounds } from "./kit/rounds.ts";
import { lockColumns, logRow, semaphoreRow } from "./kit/rows.ts";

// Rows of others in the tables of a whole cluster: somebody leads all the same, and good rows beside them are read.

/** A row without an age is watched for a lease; one whose marker stands, for another. */
const LEADS_MS = 6 * LEASE_MS;
/** Longer than any permit of which nobody says anything. */
const FORGOTTEN_MS = 700_000;

test(
  "whatever the lock's row and markers say, somebody leads in the end, and its puts are acknowledged",
  () => {
    rounds(60, (prng) => {
      const story = new Story({}, prng.seed);
      const { database, scheduler, databaseMachine } = story.cluster;
      const name = lockRowName("simulated");
      const row = lockColumns(prng, scheduler.now, databaseMachine.wallMicros());
      const { rows } = database.locks;
      rows.set(name, row);
      if (prng.chance(0.5)) rows.set(markerName(name, soundToken(row.token)), BARE_ROW);
      if (prng.chance(0.5)) rows.set(`${name}_${prng.int(1e6)}`, lockColumns(prng, 0, 0));
      const leads = () => story.cluster.leaders().length > 0;
      story.until(`somebody leads beside ${JSON.stringify(row)}`, LEADS_MS, leads);
      story.settledLeader();
      for (const { core } of story.cluster.nodes) {
        const { error } = story.outcome(core.log.put("key", "value"));
        if (error !== null)
          throw new Error(`a put beside ${JSON.stringify(row)}: ${error.message}`);
      }
      expect(story.violations).toEqual([]);
    });
  },
  boundMs(60_000),
);

test(
  "a semaphore with rows of others stops no other, and its own stand in nobody's way for ever",
  () => {
    rounds(60, (prng) => {
      const story = new Story({}, prng.seed);
      const { core } = story.settledLeader();
      const other = story.follower().core;
      for (let left = 1 + prng.int(3); left > 0; left--) {
        const { key, id, value, leader } = semaphoreRow(prng, "foreign");
        story.cluster.database.insertLogRow(key, id, value, leader);
      }
      const take = (by: typeof core, name: string, owner: string) =>
        story.outcome(by.semaphores.semaphore(name, 1).acquire({ owner, timeoutMs: 20_000 }));
      for (const by of [core, other]) {
        const { error } = take(by, "foreign", "first");
        const typed = ["timeout", "other_limit", "already_held", undefined];
        expect(typed).toContain(error?.code);
      }
      story.pass(FORGOTTEN_MS);
      for (const by of [core, other]) {
        const { error, value } = take(by, "good", `${by.config.address}`);
        if (error !== null) throw new Error(`a semaphore beside it: ${error.message}`);
        story.outcome(value?.release() ?? Promise.resolve());
      }
    });
  },
  boundMs(60_000),
);

test(
  "versions of others are read and watched in their place, and good ones beside them",
  async () => {
    await asyncRounds(60, async (prng) => {
      const story = new Story({}, prng.seed);
      story.settledLeader();
      const { core } = story.follower();
      const seen: string[] = [];
      const watching = (async () => {
        for await (const { value } of core.log.watch("key", { fromId: "" })) seen.push(value);
      })();
      let failure: unknown = null;
      watching.catch((error: unknown) => {
        failure = error;
      });
      const written: string[] = [];
      for (let i = 0; i < 6; i++) {
        if (prng.chance(0.5)) {
          const { id, value, leader } = logRow(prng, "key");
          // One row of a key and an id: a later one would take its place.
          const row = `${id}#${i}`;
          story.cluster.database.insertLogRow(
            "key",
            id === NO_APPEND_ID ? row : id + i,
            value,
            leader,
          );
          written.push(value);
        } else {
          const { error } = story.outcome(core.log.put("key", `good-${i}`));
          expect(error).toBeNull();
          written.push(`good-${i}`);
        }
        // Past the time within which nothing can have been removed unseen.
        if (prng.chance(0.5)) story.pass(60_000);
      }
      story.pass(61_000);
      expect(failure).toBeNull();
      expect(seen).toEqual(written);
      const { value: read } = story.outcome(core.log.get("key", { limit: -1 }));
      expect(read?.map(({ value }) => value).reverse()).toEqual(written);
      await story.outcome(core.stop());
    });
  },
  boundMs(60_000),
);
