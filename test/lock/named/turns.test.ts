import { expect, test } from "bun:test";
import { Turns } from "../../../src/lock/named/turns.ts";
import { Operation } from "../../../src/runtime/operation.ts";
import { Machine } from "../../simulation/world/machine.ts";
import { Scheduler } from "../../simulation/world/scheduler.ts";

const clock = new Machine(new Scheduler());

function taking(turns: Turns, name: string, log: string[], who: string, signal?: AbortSignal) {
  const operation = new Operation(clock, "lock", { signal }, Infinity);
  return turns.take(name, operation).then((turn) => {
    log.push(who);
    return turn;
  });
}

test("one at a time for each name, in the order in which they came", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const first = await taking(turns, "a", log, "first");
  const second = taking(turns, "a", log, "second");
  const third = taking(turns, "a", log, "third");
  await taking(turns, "b", log, "other");
  expect(log).toEqual(["first", "other"]);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  (await second)[Symbol.dispose]();
  await third;
  expect(log).toEqual(["first", "other", "second", "third"]);
});

test("who gives up is passed over, also when the turn has just come", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const [early, late] = [new AbortController(), new AbortController()];
  const first = await taking(turns, "a", log, "first");
  const second = taking(turns, "a", log, "second", early.signal);
  const third = taking(turns, "a", log, "third", late.signal);
  const fourth = taking(turns, "a", log, "fourth");
  early.abort();
  expect(await second.catch((error: { code: string }) => error.code)).toBe("canceled");
  first[Symbol.dispose]();
  late.abort();
  const outcome = await third.then(
    (turn) => turn[Symbol.dispose](),
    (error: { code: string }) => error.code,
  );
  expect([undefined, "canceled"]).toContain(outcome as undefined);
  await fourth;
  expect(log.at(-1)).toBe("fourth");
});
