import { expect, test } from "bun:test";
import { type MemberRecord, PeerState } from "../../src/members/member.ts";
import { Observers } from "../../src/members/observers.ts";
import { recordOf } from "../simulation/swarm/swarm.ts";
import { ManualClock } from "../rpc/kit/clock.ts";

const clock = new ManualClock();

const a = recordOf("a:1", 1);
const b = recordOf("b:1", 1);
const viewer: MemberRecord = { ...recordOf("c:1", 1), state: PeerState.VIEWER };

/** Whatever is told in the background has been told. */
const settled = () => new Promise((resolve) => setImmediate(resolve));
const namesOf = (members: readonly MemberRecord[]) => members.map(({ name }) => name).join();

test("observers are told in order, in the background, of the latest state only", async () => {
  const told: string[] = [];
  const observers = new Observers(clock, () => {});
  observers.observe((members) => told.push(`first ${namesOf(members)}`), false);
  observers.observe((members) => told.push(`second ${namesOf(members)}`), false);
  observers.notify([a]);
  observers.notify([a, b]);
  expect(told).toEqual([]);
  await settled();
  expect(told).toEqual(["first a:1,b:1", "second a:1,b:1"]);
});

test("one that gives false, and one that is ended, are told no more", async () => {
  const told: string[] = [];
  const observers = new Observers(clock, () => {});
  observers.observe(() => told.push("once") < 0, false);
  const end = observers.observe(() => told.push("until ended"), false);
  observers.notify([a]);
  await settled();
  end();
  observers.notify([a, b]);
  await settled();
  expect(told).toEqual(["once", "until ended"]);
});

test("one that hangs or throws keeps no other from being told", async () => {
  const told: string[] = [];
  const errors: unknown[] = [];
  const observers = new Observers(clock, (error) => errors.push(error));
  observers.observe(() => new Promise(() => {}), false);
  observers.observe(() => {
    throw new Error("no");
  }, false);
  observers.observe((members) => told.push(namesOf(members)), false);
  for (const members of [[a], [a, b]]) {
    observers.notify(members);
    await settled();
  }
  expect(told).toEqual(["a:1", "a:1,b:1"]);
  expect(errors.length).toBe(2);
});

test("a slow one hears of the state in which it finds the members next", async () => {
  const told: string[] = [];
  let finish = () => {};
  const observers = new Observers(clock, () => {});
  observers.observe((members) => {
    told.push(namesOf(members));
    return new Promise<void>((resolve) => {
      finish = resolve;
    });
  }, false);
  for (const members of [[a], [b], [a, b]]) {
    observers.notify(members);
    await settled();
  }
  expect(told).toEqual(["a:1"]);
  finish();
  await settled();
  expect(told).toEqual(["a:1", "a:1,b:1"]);
});

test("with participantsOnly, changes of others are no news; it is given all members", async () => {
  const told: string[] = [];
  const observers = new Observers(clock, () => {});
  observers.observe((members) => told.push(namesOf(members)), true);
  for (const members of [[a], [a, viewer], [a, b, viewer], [a, b]]) {
    observers.notify(members);
    await settled();
  }
  expect(told).toEqual(["a:1", "a:1,b:1,c:1"]);
});

test("with participantsOnly, a participant that moved to another address is news", async () => {
  const told: string[] = [];
  const observers = new Observers(clock, () => {});
  observers.notify([a]);
  await settled();
  observers.observe(([member]) => told.push(member?.address ?? ""), true);
  for (const member of [a, { ...a, version: 1 }, { ...a, address: "moved:1" }]) {
    observers.notify([member]);
    await settled();
  }
  expect(told).toEqual(["moved:1"]);
});
