import { beforeEach, expect, test } from "bun:test";
import type { Desk } from "../../src/semaphore/desk.ts";
import { EndedGrants } from "../../src/semaphore/ended.ts";
import type { PermitRef } from "../../src/semaphore/line.ts";
import { Places, type Told } from "../../src/semaphore/places.ts";
import { permitTiming } from "../../src/semaphore/timing.ts";
import { Machine } from "../simulation/world/machine.ts";
import { Scheduler } from "../simulation/world/scheduler.ts";

const timing = permitTiming(2_000);
const PROCESS = "h:1/5";

/** A desk whose answers the test gives. */
class FakeDesk {
  readonly permits = new Map<string, boolean>();
  readonly confirmed: string[] = [];
  readonly lapsed: string[] = [];

  find({ grant }: PermitRef): boolean | null {
    return this.permits.get(grant) ?? null;
  }

  confirm({ grant }: PermitRef): boolean {
    this.confirmed.push(grant);
    return this.permits.get(grant) === true;
  }

  lapse({ grant }: PermitRef): void {
    this.lapsed.push(grant);
  }
}

let scheduler: Scheduler;
let places: Places;
let desk: FakeDesk;
beforeEach(() => {
  scheduler = new Scheduler();
  places = new Places(new Machine(scheduler), timing);
  desk = new FakeDesk();
});

function wait(grant: string): void {
  desk.permits.set(grant, false);
  places.add(PROCESS, desk as unknown as Desk, { owner: grant, grant });
}

/** A request for news, and what came of it. */
function poll(grants: readonly string[], signal?: AbortSignal): { told: Told | null } {
  const asked: { told: Told | null } = { told: null };
  void places.poll(PROCESS, grants, timing.pollMs, signal).then((told) => {
    asked.told = told;
  });
  pass(0);
  return asked;
}

function pass(ms: number): void {
  scheduler.runUntil(scheduler.now + ms);
}

test("a permit is told at once to the request that waits, whether it names it or not", () => {
  wait("a");
  const asked = poll(["a"]);
  wait("b");
  pass(100);
  expect(asked.told).toBeNull();
  for (const grant of ["a", "b"]) desk.permits.set(grant, true);
  places.tell(PROCESS);
  pass(0);
  expect(asked.told).toEqual({ acquired: ["a", "b"], unknown: [], at: 100 });
  expect(desk.confirmed).toEqual(["a", "b"]);
  // They have no places any more: who asks again asks for what is not known here.
  expect(poll(["a"]).told).toMatchObject({ acquired: [], unknown: ["a"] });
});

test("without news it is answered after a while, and the places stay", () => {
  wait("a");
  const asked = poll(["a"]);
  pass(timing.pollMs);
  expect(asked.told).toEqual({ acquired: [], unknown: [], at: timing.pollMs });
  pass(timing.keepPlaceMs - 1);
  expect(desk.lapsed).toEqual([]);
  desk.permits.set("a", true);
  expect(poll(["a"]).told).toMatchObject({ acquired: ["a"] });
});

test("who does not ask in time loses its places", () => {
  wait("a");
  wait("b");
  poll(["a", "b"]);
  pass(timing.pollMs + timing.keepPlaceMs);
  expect(desk.lapsed).toEqual(["a", "b"]);
  expect(poll(["a", "b"]).told).toMatchObject({ unknown: ["a", "b"] });
});

test("also if it never asks", () => {
  wait("a");
  pass(timing.keepPlaceMs);
  expect(desk.lapsed).toEqual(["a"]);
});

test("a caller that has gone ends its request, and loses its places unless another comes", () => {
  wait("a");
  const controller = new AbortController();
  const asked = poll(["a"], controller.signal);
  controller.abort();
  pass(0);
  expect(asked.told).not.toBeNull();
  pass(timing.keepPlaceMs - 1);
  expect(desk.lapsed).toEqual([]);
  pass(1);
  expect(desk.lapsed).toEqual(["a"]);
});

test("a second request takes the place of the first", () => {
  wait("a");
  const [first, second] = [poll(["a"]), poll(["a"])];
  expect(first.told).toMatchObject({ acquired: [], unknown: [] });
  expect(second.told).toBeNull();
  desk.permits.set("a", true);
  places.tell(PROCESS);
  pass(0);
  expect(second.told).toMatchObject({ acquired: ["a"] });
  pass(2 * timing.keepPlaceMs);
  expect(desk.lapsed).toEqual([]);
});

test("one that was sent away is told to ask anew, one whose permit is gone again, too", () => {
  wait("a");
  const asked = poll(["a"]);
  desk.permits.delete("a");
  places.tell(PROCESS);
  pass(0);
  expect(asked.told).toMatchObject({ acquired: [], unknown: ["a"] });
});

test("the end answers all, and leaves no timer", () => {
  wait("a");
  const asked = poll(["a"]);
  places.end();
  pass(0);
  expect(asked.told).not.toBeNull();
  pass(10 * timing.keepPlaceMs);
  expect(desk.lapsed).toEqual([]);
});

test("grants that ended are remembered for a while", () => {
  const ended = new EndedGrants(new Machine(scheduler), 1_000);
  ended.add("a");
  pass(600);
  ended.add("b");
  expect([ended.has("a"), ended.has("b"), ended.has("c")]).toEqual([true, true, false]);
  pass(600);
  ended.add("c");
  expect([ended.has("a"), ended.has("b"), ended.has("c")]).toEqual([false, true, true]);
  for (let i = 0; i < 25_000; i++) ended.add(`many-${i}`);
  expect([ended.has("c"), ended.has("many-24999")]).toEqual([false, true]);
});
