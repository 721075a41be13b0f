import { expect, test } from "bun:test";
import { type Lane, Slots } from "../../src/rpc/slots.ts";

const none = () => {};
const lane = (): Lane => ({ inFlight: 0, limits: { max: 5, least: 1 } });

function takeAll(slots: Slots, of: Lane, retry = none): number {
  let taken = 0;
  while (slots.take(of, retry)) taken++;
  return taken;
}

test("a lane takes its own maximum and no more", () => {
  const slots = new Slots({ total: 100, ordinary: 100, shared: 50 });
  expect(takeAll(slots, lane())).toBe(5);
});

test("when the shared slots are taken, a lane still has its least, until all are taken", () => {
  const slots = new Slots({ total: 12, ordinary: 12, shared: 10 });
  expect([lane(), lane()].map((each) => takeAll(slots, each))).toEqual([5, 5]);
  expect([lane(), lane(), lane()].map((each) => takeAll(slots, each))).toEqual([1, 1, 0]);
});

test("who was refused for others' sake is told when a slot is given back", () => {
  const slots = new Slots({ total: 5, ordinary: 5, shared: 5 });
  const busy = lane();
  takeAll(slots, busy);
  const waiting = lane();
  let retries = 0;
  const retry = () => {
    retries++;
    slots.take(waiting, retry);
  };
  expect(slots.take(waiting, retry)).toBe(false);
  slots.give(busy);
  expect([retries, waiting.inFlight]).toEqual([1, 1]);
  slots.give(waiting);
  expect(retries).toBe(1);
});

test("a reserved lane has its least when all others have taken what they may", () => {
  const slots = new Slots({ total: 8, ordinary: 6, shared: 5 });
  expect([lane(), lane(), lane()].map((each) => takeAll(slots, each))).toEqual([5, 1, 0]);
  const reserved = (): Lane => ({ inFlight: 0, limits: { max: 4, least: 1, reserved: true } });
  expect([reserved(), reserved(), reserved()].map((each) => takeAll(slots, each))).toEqual([
    1, 1, 0,
  ]);
});
