import { expect, test } from "bun:test";
import fc from "fast-check";
import { HedgerowError } from "../../src/errors.ts";
import {
  type CommitsAnswer,
  RecentCommits,
  type SeenCommits,
} from "../../src/log/recent-commits.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import { HandClock } from "../contract/clock.ts";

const NOTHING: SeenCommits = { token: 0, since: 0 };

/** A clock whose timers run when the test says so. */
class TimerClock extends HandClock implements Clock {
  readonly due = new Set<() => void>();

  override schedule(_ms: number, run: () => void) {
    this.due.add(run);
    return { cancel: () => void this.due.delete(run) };
  }

  fire(): void {
    for (const run of [...this.due]) {
      this.due.delete(run);
      run();
    }
  }
}

const entries = (...keys: string[]) => keys.map((key) => ({ key }));

function setUp() {
  const clock = new TimerClock();
  const commits = new RecentCommits(clock);
  const ask = (token: number, keys: string[], seen: SeenCommits, signal?: AbortSignal) =>
    commits.next(token, keys, seen, 10_000, signal);
  return { clock, commits, ask };
}

/** What a promise is settled with by now. */
async function settled<T>(promise: Promise<T>): Promise<T | "waiting"> {
  const turn = new Promise<"waiting">((resolve) => setImmediate(() => resolve("waiting")));
  return await Promise.race([promise, turn]);
}

test("who knows nothing yet is told of all its keys at once, then of what is written", async () => {
  const { commits, ask } = setUp();
  commits.add(7, entries("x"));
  const first = (await settled(ask(7, ["a", "b"], NOTHING))) as CommitsAnswer;
  expect(first.keys).toEqual(["a", "b"]);
  const next = ask(7, ["a", "b"], first);
  expect(await settled(next)).toBe("waiting");
  commits.add(7, entries("x", "y"));
  expect(await settled(next)).toBe("waiting");
  commits.add(7, entries("b", "x"));
  expect(await settled(next)).toMatchObject({ keys: ["b"], token: 7 });
});

test("what was written between two questions is told by the second, each key once", async () => {
  const { commits, ask } = setUp();
  const first = await ask(7, ["a", "b", "c"], NOTHING);
  commits.add(7, entries("a", "x"));
  commits.add(7, entries("a", "c"));
  const { keys } = (await settled(ask(7, ["a", "b", "c"], first))) as CommitsAnswer;
  expect(keys.toSorted()).toEqual(["a", "c"]);
});

test("a key that comes to the question later is told of what was written since the last answer", async () => {
  const { commits, ask } = setUp();
  const first = await ask(7, ["a"], NOTHING);
  commits.add(7, entries("late"));
  expect(await settled(ask(7, ["a", "late"], first))).toMatchObject({ keys: ["late"] });
});

test("under another token nothing is known: those who wait, too, are told of all their keys", async () => {
  const { commits, ask } = setUp();
  const first = await ask(7, ["a"], NOTHING);
  const waiting = ask(7, ["a"], first);
  commits.add(8, entries("x"));
  expect(await settled(waiting)).toMatchObject({ keys: ["a"], token: 8 });
  expect(await settled(ask(8, ["a"], first))).toMatchObject({ keys: ["a"], token: 8 });
  // Back and forth: what is counted of the first token is no longer all of it.
  const second = await ask(8, ["a"], first);
  commits.add(7, entries("x"));
  commits.add(8, entries(...Array.from({ length: 20 }, () => "x")));
  expect(await settled(ask(8, ["a"], second))).toMatchObject({ keys: ["a"] });
});

test("who asks too late is told of all its keys", async () => {
  const { commits, ask } = setUp();
  const first = await ask(7, ["a"], NOTHING);
  for (let i = 0; i < 4_097; i++) commits.add(7, entries("x"));
  expect(await settled(ask(7, ["a"], first))).toMatchObject({ keys: ["a"] });
});

test("a wait ends with its time, its caller or the lead, and leaves nothing behind", async () => {
  const { clock, commits, ask } = setUp();
  const first = await ask(7, ["a"], NOTHING);
  const timed = ask(7, ["a"], first);
  clock.fire();
  expect(await settled(timed)).toMatchObject({ keys: [] });
  const leaving = new AbortController();
  const left = ask(7, ["a"], first, leaving.signal);
  leaving.abort();
  expect(await settled(left)).toMatchObject({ keys: [] });
  expect(await settled(ask(7, ["a"], first, leaving.signal))).toMatchObject({ keys: [] });
  const lost = ask(7, ["a"], first);
  commits.end(new HedgerowError("not_leader", "no longer"));
  await expect(lost).rejects.toMatchObject({ code: "not_leader" });
  expect(clock.due.size).toBe(0);
});

test("whatever is written and asked, nobody is left untold", async () => {
  const step = fc.oneof(
    fc.record({ write: fc.array(fc.constantFrom("a", "b", "c", "x"), { minLength: 1 }) }),
    fc.record({ ask: fc.subarray(["a", "b", "c"], { minLength: 1 }) }),
    fc.record({ token: fc.constantFrom(7, 8, 9) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { clock, commits, ask } = setUp();
      let token = 7;
      let seen = NOTHING;
      /** Written and not told yet. */
      const untold = new Set(["a", "b", "c"]);
      for (const now of steps) {
        if ("token" in now) {
          token = now.token;
        } else if ("write" in now) {
          commits.add(token, entries(...now.write));
          for (const key of now.write) untold.add(key);
        } else {
          const asked = ask(token, ["a", "b", "c"], seen);
          clock.fire();
          const answer = await asked;
          seen = answer;
          for (const key of answer.keys) untold.delete(key);
          for (const key of ["a", "b", "c"]) expect(untold.has(key)).toBe(false);
        }
      }
    }),
  );
});
