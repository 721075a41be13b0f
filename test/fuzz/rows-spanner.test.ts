import { expect, test } from "bun:test";
import { spannerWorld } from "../contract/spanner-world.ts";
import { connectFull } from "../contract/world.ts";
import { describeWithEmulator } from "../spanner/rule.ts";
import { type Foreign, roundOf } from "./kit/foreign-rows.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

describeWithEmulator("rows of others in Spanner", () => {
  const LOCK_TIMES = [
    "NULL",
    "TIMESTAMP '0001-01-01T00:00:00Z'",
    "TIMESTAMP '1969-12-31T23:59:59Z'",
  ];
  const NOW = ["PENDING_COMMIT_TIMESTAMP()", "TIMESTAMP '2020-01-01T00:00:00.123456789Z'"];

  test(
    "rows of any columns are read, or passed over, and stop nothing",
    async () => {
      await using world = await spannerWorld();
      const store = await connectFull(world);
      const { sql } = world;
      const nullable = (text: string) => (text === "" ? "NULL" : "@value");
      const foreign: Foreign = {
        store,
        lockRow: async (prng, name) => {
          const time = () => prng.pick([...LOCK_TIMES, ...NOW]);
          const writer = prng.pick(["NULL", "''", "'10.0.0.9:8080'", "'a b'"]);
          await sql.execute(
            `insert locktable (name, heartbeat, token, writer)
            values (@name, ${time()}, ${time()}, ${writer})`,
            { name },
          );
        },
        async logRow({ key, id, value, leader }) {
          const time = ["NULL", ...NOW][value.length % 3] ?? "NULL";
          try {
            await sql.execute(
              `insert logtable (key, id, value, leader, timestamp)
              values (@key, @id, ${nullable(value)}, @leader, ${time})`,
              { key, id, leader, ...(value !== "" && { value }) },
            );
            return true;
          } catch (error) {
            expect(String(error)).toMatch(/ALREADY_EXISTS|INVALID_ARGUMENT|FAILED_PRECONDITION/);
            return false;
          }
        },
      };
      await asyncRounds(6, async (prng) => {
        await roundOf(foreign, prng);
      });
      await store.close();
    },
    boundMs(60_000),
  );
});
