import { expect, test } from "bun:test";
import fc from "fast-check";
import { HedgerowError } from "../../src/errors.ts";
import { entry, type FullStore } from "../contract/world.ts";
import { type HandWorld, memoryWorld, sqliteWorld } from "../contract/worlds.ts";

/** One step of a random history. `off`: how far the token that it uses is from the lock's. */
type Step =
  | { readonly do: "pass" | "jump wall"; readonly ms: number }
  | { readonly do: "delete row" | "read row" }
  | {
      readonly do: "take";
      readonly off: number;
      readonly none: boolean;
      readonly minAgeMs: number;
    }
  | { readonly do: "renew" | "release"; readonly off: number }
  | {
      readonly do: "append";
      readonly off: number | null;
      readonly rows: [string, string, string][];
    }
  | { readonly do: "read"; readonly key: string; readonly limit: number }
  | {
      readonly do: "change";
      readonly off: number;
      readonly name: string;
      readonly limit: number;
      readonly release: readonly [string, string][];
      readonly acquire: readonly [string, string][];
    }
  | { readonly do: "permits"; readonly name: string };

const LOCK = "leader";
const kind = <K extends Step["do"]>(...kinds: K[]) => fc.constantFrom(...kinds);
const off = fc.constantFrom(0, 0, 0, 0, 0, 0, 0, -1, 1);
const key = fc.constantFrom("k", "l", "__hedge/semaphore/s", "__caller=x:1");
const row = fc.tuple(key, fc.constantFrom("-", "1", "2"), fc.constantFrom("", "v", "w"));
const rows = fc.uniqueArray(row, { maxLength: 4, selector: ([of]) => of });
const name = fc.constantFrom("s", "s", "t");
const claims = fc.array(
  fc.tuple(fc.constantFrom("x:1", "y:2", "z:3"), fc.constantFrom("g", "g", "h")),
  { maxLength: 3 },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: kind("pass"), ms: fc.nat(900) }),
  fc.record({ do: kind("jump wall"), ms: fc.integer({ min: -5_000, max: 5_000 }) }),
  fc.record({ do: kind("delete row", "read row", "read row") }),
  fc.record({
    do: kind("take"),
    off,
    none: fc.boolean(),
    minAgeMs: fc.constantFrom(0, 500),
  }),
  fc.record({ do: kind("renew", "release"), off }),
  fc.record({ do: kind("append"), off: fc.option(off), rows }),
  fc.record({ do: kind("read"), key, limit: fc.integer({ min: -4, max: 5 }) }),
  fc.record({
    do: kind("change"),
    off,
    name,
    limit: fc.constantFrom(1, 2, 2),
    release: claims,
    acquire: claims,
  }),
  fc.record({ do: kind("permits"), name }),
);

/** What a step gives that must be equal on every store. */
async function run(step: Step, world: HandWorld, store: FullStore): Promise<unknown> {
  const { lock, log, semaphores } = store;
  const current = (await lock.read(LOCK))?.token ?? 0;
  const claim = (off: number) => ({ name: LOCK, token: Math.max(0, current + off) });
  switch (step.do) {
    case "pass":
      return world.passMs(step.ms);
    case "jump wall":
      return world.clock.jumpWallMs(step.ms);
    case "delete row":
      return world.deleteLockRow(LOCK);
    case "read row":
      return withoutBeat(await lock.read(LOCK));
    case "take": {
      const expectedToken = step.none ? null : claim(step.off).token;
      const takeOver = {
        name: LOCK,
        writer: "w:1",
        expectedToken,
        leaseMs: 2_000,
        minAgeMs: step.minAgeMs,
      };
      return withoutBeat(await lock.acquire(takeOver));
    }
    case "renew":
      return lock.renew(LOCK, claim(step.off).token);
    case "release":
      return lock.release(LOCK, claim(step.off).token);
    case "append":
      return log.append(
        step.rows.map((row) => entry(...row)),
        step.off === null ? null : claim(step.off),
      );
    case "read":
      return log.read(step.key, step.limit);
    case "change": {
      const permit = { holder: "h:1", incarnation: 1, detached: false };
      const change = {
        semaphore: step.name,
        limit: step.limit,
        release: step.release.map(([owner, grant]) => ({ owner, grant })),
        acquire: step.acquire.map(([owner, grant]) => ({ ...permit, owner, grant })),
      };
      return semaphores.change([change], claim(step.off));
    }
    case "permits":
      return semaphores.read(step.name);
  }
}

/** How a beat is written is each store's own affair. */
function withoutBeat(result: unknown): string | undefined {
  return JSON.stringify(result, (field, inner: unknown) => {
    if (field === "beat") return undefined;
    return inner === Number.POSITIVE_INFINITY ? "Infinity" : inner;
  });
}

async function outcomeOf(step: Step, world: HandWorld, store: FullStore): Promise<unknown> {
  try {
    return await run(step, world, store);
  } catch (error) {
    if (!(error instanceof HedgerowError)) throw error;
    return { error: error.code, message: error.message };
  }
}

test("SQLite and memory answer every history of calls alike, to the microsecond", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 50, maxLength: 120 }), async (steps) => {
      await using memory = await memoryWorld();
      await using sqlite = await sqliteWorld();
      const inMemory = (await memory.connect({ log: true })) as FullStore;
      const inSqlite = (await sqlite.connect({ log: true })) as FullStore;
      for (const step of steps) {
        const expected = await outcomeOf(step, memory, inMemory);
        expect(await outcomeOf(step, sqlite, inSqlite)).toEqual(expected as never);
      }
      await inSqlite.close();
    }),
    { numRuns: 40 },
  );
}, 60_000);
