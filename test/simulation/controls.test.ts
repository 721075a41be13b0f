// Every checker of the simulation, with what it watches over broken: it must find that. Each is asked for by
// words of its own message.
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import type { LockStore, LogStore, SemaphoreStore, Store } from "../../src/store/ports.ts";
import { type RunOptions, runSeed } from "./world/run-seed.ts";

const SECONDS = 1_000;
setDefaultTimeout(60 * SECONDS);

function violationsOf(seeds: readonly number[], options: RunOptions): string[] {
  return seeds.flatMap((seed) => runSeed(seed, options).violations);
}

function expectFound(violations: readonly string[], what: RegExp): void {
  expect(violations.filter((violation) => what.test(violation))).not.toEqual([]);
}

/** A copy that does some things otherwise. */
function instead<T extends object>(of: T, changes: (of: T) => Partial<T>): T {
  return Object.assign(Object.create(of), changes(of));
}

function broken(parts: {
  readonly lock?: (lock: LockStore) => Partial<LockStore>;
  readonly log?: (log: LogStore) => Partial<LogStore>;
  readonly semaphores?: (semaphores: SemaphoreStore) => Partial<SemaphoreStore>;
}): (store: Store) => Store {
  const { lock, log, semaphores } = parts;
  return (store) =>
    instead(store, () => ({
      ...(lock && { lock: instead(store.lock, lock) }),
      ...(log && store.log && { log: instead(store.log, log) }),
      ...(semaphores && store.semaphores && { semaphores: instead(store.semaphores, semaphores) }),
    }));
}

const SEEDS = Array.from({ length: 40 }, (_, i) => i + 1);
const FEW = [1, 2, 3];

describe("without fence and deadline checks", () => {
  let violations: string[] = [];
  beforeAll(() => {
    violations = violationsOf(SEEDS, { protections: false });
  });

  test("former leaders write", () => expectFound(violations, /wrote as a former leader/));
  test("two lead at once", () => expectFound(violations, /lead at once/));
  test("one leads on though another took the row", () => expectFound(violations, /leads, though/));
  test("two hold a lock", () => expectFound(violations, /hold short at once/));
  test("more hold permits than there are", () => expectFound(violations, /hold lengthy at once/));

  test("ours write on when a contender of the Go system has the lock", () => {
    const withGo = Array.from({ length: 12 }, (_, i) => 4 * i + 4);
    const found = violationsOf(withGo, { protections: false });
    expectFound(found, /wrote as a former leader: 10\.0\.1\./);
  });
});

describe("with a database", () => {
  const found = (store: (store: Store) => Store, seeds: readonly number[] = FEW) =>
    violationsOf(seeds, { store });

  test("whose tokens go back: they do not increase", () => {
    let token = Number.MAX_SAFE_INTEGER;
    const lock = (real: LockStore): Partial<LockStore> => ({
      acquire: async (takeOver) => {
        const result = await real.acquire(takeOver);
        return result.kind === "acquired" ? { ...result, token: --token } : result;
      },
    });
    const violations = found(broken({ lock }));
    expectFound(violations, /^token \d+ follows/);
    expectFound(violations, /^token \d+ of lock \w+ follows/);
  });

  test("that loses one write in ten that it acknowledges", () => {
    let writes = 0;
    const log = (real: LogStore): Partial<LogStore> => ({
      append: (entries, fence) =>
        writes++ % 10 > 0
          ? real.append(entries, fence)
          : Promise.resolve(entries.map(() => ({ kind: "written", timestamp: writes }))),
    });
    const violations = found(broken({ log }));
    expectFound(violations, /^acknowledged .* is lost/);
    expectFound(violations, /is not linearizable: {"kind":"put"/);
  });

  test("that tells other times and writes other values than it keeps", () => {
    const log = (real: LogStore): Partial<LogStore> => ({
      append: async (entries, fence) => {
        const altered = entries.map((entry) => ({ ...entry, value: `not ${entry.value}` }));
        const outcomes = await real.append(altered, fence);
        return outcomes.map((outcome) =>
          outcome.kind === "written" ? { ...outcome, timestamp: 1 } : outcome,
        );
      },
    });
    const violations = found(broken({ log }));
    expectFound(violations, /was never put so/);
    expectFound(violations, /has another time/);
    expectFound(violations, /is older than one acknowledged before it began/);
  });

  test("that checks no condition: two puts follow one version", () => {
    const log = (real: LogStore): Partial<LogStore> => ({
      append: (entries, fence) =>
        real.append(
          entries.map(({ key, id, value, leader }) => ({ key, id, value, leader })),
          fence,
        ),
    });
    const violations = found(broken({ log }));
    expectFound(violations, / follows .*, not /);
    expectFound(violations, /is not linearizable/);
  });

  test("that reads what was, not what is: gets are not linearizable", () => {
    const log = (real: LogStore): Partial<LogStore> => ({
      read: async (key, limit) => (await real.read(key, limit)).slice(1),
    });
    expectFound(found(broken({ log })), /is not linearizable: {"kind":"get"/);
  });

  test("whose reads pass a version over, or repeat one: watchers do", () => {
    const gap = broken({
      log: (log) => ({
        readAfter: async (...call) => {
          const page = await log.readAfter(...call);
          return page.length > 1 ? page.slice(1) : page;
        },
      }),
    });
    expectFound(found(gap), /: it saw id-/);
    const again = broken({
      log: (log) => ({
        readAfter: (key, after, ...rest) =>
          log.readAfter(key, after && { ...after, timestamp: after.timestamp - 1_000 }, ...rest),
      }),
    });
    expectFound(found(again), /: it saw id-/);
  });

  test("that gives nothing but the first page of each place: watchers stop short of the end", () => {
    const asked = new Set<string>();
    const log = (real: LogStore): Partial<LogStore> => ({
      readAfter: async (key, after, ...rest) => {
        const place = `${key} ${after?.id}`;
        if (asked.has(place)) return [];
        asked.add(place);
        return real.readAfter(key, after, ...rest);
      },
    });
    expectFound(found(broken({ log })), /saw nothing after/);
  });

  test("that refuses a put which it writes: conflicts that are there", () => {
    const log = (real: LogStore): Partial<LogStore> => ({
      append: async (entries, fence) => {
        const free = entries.map(({ key, id, value, leader }) => ({ key, id, value, leader }));
        const outcomes = await real.append(free, fence);
        return outcomes.map((outcome, i) =>
          entries[i]?.ifVersion === undefined ? outcome : { kind: "other-version", current: "" },
        );
      },
    });
    expectFound(found(broken({ log })), / ended with conflict, and is there/);
  });

  test("that fails watchers for good, and others with a defect", () => {
    const log = (real: LogStore): Partial<LogStore> => ({
      read: () => Promise.reject(new TypeError("undefined is not an object")),
      readAfter: (...call) =>
        call[1] === null
          ? real.readAfter(...call)
          : Promise.reject(new HedgerowError("store_failed", "no such column")),
    });
    const semaphores = (): Partial<SemaphoreStore> => ({
      read: () => Promise.reject(new TypeError("undefined is not an object")),
    });
    const violations = found(broken({ log, semaphores }));
    expectFound(violations, / watches .*: it ended with store_failed/);
    expectFound(violations, /^internal error: /);
  });

  test("that lets markers of the Go system be passed over at once", () => {
    const lock = (real: LockStore): Partial<LockStore> => ({
      read: async (name) => {
        const row = await real.read(name);
        return row?.ageMs === null ? { ...row, ageMs: Infinity } : row;
      },
      acquire: async (takeOver) => {
        const beat = (await real.read(takeOver.name))?.beat;
        return real.acquire(
          beat?.includes("marked") ? { ...takeOver, watchedBeat: beat } : takeOver,
        );
      },
    });
    const violations = found(broken({ lock }), [4, 8, 12, 16, 20, 24]);
    expectFound(violations, /took over .* ms after a Go contender's marker/);
  });

  test("that takes no permit back: some are left, and the last are not to be had", () => {
    const semaphores = (real: SemaphoreStore): Partial<SemaphoreStore> => ({
      change: (changes, fence) =>
        real.change(
          changes.map((change) => ({ ...change, release: [] })),
          fence,
        ),
    });
    expectFound(found(broken({ semaphores })), /^a permit of \w+ is left to/);
  });

  test("that nobody can take a lock's row in any more: nobody leads, nobody has a lock", () => {
    const refusing = broken({
      lock: (lock) => ({
        acquire: async ({ name }) => ({ kind: "refused", row: await lock.read(name) }),
      }),
    });
    const violations = found(refusing);
    expectFound(violations, /^nobody leads \d+/);
    expectFound(violations, /^not whole \d+/);
    expectFound(violations, /^a put after recovery: /);
    expectFound(violations, /^\d+ locks were not to be had/);
    expectFound(violations, /^\d+ permits were not to be had/);
  });
});

test("with slow clocks, and a database that does not read the token, writes under older ones are committed", () => {
  const store = broken({ log: (log) => ({ append: (entries) => log.append(entries, null) }) });
  const clock = (real: Clock): Clock =>
    instead(real, () => ({
      now: () => real.now() / 4,
      wallMicros: () => real.wallMicros(),
      schedule: (ms, run) => real.schedule(4 * ms, run),
    }));
  const violations = violationsOf(SEEDS.slice(0, 10), { store, clock });
  expectFound(violations, /a write under token \d+ committed after take-over/);
});

test("with clocks whose longer timers never fire, calls do not end by their deadlines", () => {
  const clock = (real: Clock): Clock =>
    instead(real, () => ({
      now: () => real.now(),
      wallMicros: () => real.wallMicros(),
      schedule: (ms, run) => (ms < 3 * SECONDS ? real.schedule(ms, run) : { cancel() {} }),
    }));
  const violations = violationsOf(SEEDS.slice(0, 5), { clock });
  expectFound(violations, /^put at \d+ did not end by its deadline/);
  expectFound(violations, /^acquire at \d+ did not end by its deadline/);
  expectFound(violations, /^acquire of \w+ at \d+ did not end by its deadline/);
});
