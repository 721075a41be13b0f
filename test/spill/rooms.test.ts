import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { RoomResponseSchema } from "../../src/gen/hedgerow/v1/spill_pb.ts";
import { decode, encode } from "../../src/rpc/codec.ts";
import type { Peers } from "../../src/rpc/port.ts";
import { Budget } from "../../src/spill/budget.ts";
import { isNoticeable, OwnRoom } from "../../src/spill/remote/own-room.ts";
import { type Room, Rooms } from "../../src/spill/remote/rooms.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { FakeFiles } from "./kit.ts";

const MB = 1 << 20;
const [A, B, C] = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"] as const;

interface Space {
  readonly memory?: number;
  readonly disk?: number;
}

const bigints = ({ memory = 0, disk = 0 }: Space) => ({
  memory: BigInt(memory),
  disk: BigInt(disk),
});
const bodyOf = (space: Space) => encode(RoomResponseSchema, bigints(space));

/** Rooms of a node beside members, which answer with what they have when they are asked. */
function roomsBeside(members: string[], spaces: Record<string, Space> = {}) {
  const clock = new ManualClock();
  const asked: string[] = [];
  const unary = async (address: string) => {
    asked.push(address);
    const space = spaces[address];
    if (space === undefined) throw new HedgerowError("unavailable", "nobody is there");
    return { ...bigints(space), incarnation: 1n, stamp: 0n };
  };
  const peers = { unary, forget() {} } as unknown as Peers;
  const rooms = new Rooms(clock, peers, "10.0.0.9:1", () => members);
  const withMemory = async (bytes: number) =>
    (await rooms.with(bytes, "memory")).map(({ address }) => address);
  return { clock, asked, rooms, withMemory };
}

async function only(rooms: Rooms): Promise<Room> {
  const [room] = await rooms.with(1, "memory");
  return room as Room;
}

test("what members say is all that is needed: nobody is asked, and the latest word counts", async () => {
  const { asked, rooms, withMemory } = roomsBeside([A, B, C]);
  rooms.heard(A, bodyOf({ memory: 10 * MB }), 5);
  rooms.heard(B, bodyOf({ memory: 90 * MB }), 3);
  rooms.heard(C, bodyOf({ memory: MB }), 9);
  expect(await withMemory(5 * MB)).toEqual([B, A]);
  rooms.heard(B, bodyOf({ memory: MB }), 2);
  expect(await withMemory(5 * MB)).toEqual([B, A]);
  rooms.heard(B, bodyOf({ memory: MB }), 4);
  expect(await withMemory(5 * MB)).toEqual([A]);
  rooms.heard(A, new Uint8Array([0xff]), 6); // which cannot be read
  expect(await withMemory(5 * MB)).toEqual([A]);
  expect(asked).toEqual([]);
});

test("what the holder says itself counts more than what others say", async () => {
  const { rooms, withMemory } = roomsBeside([A]);
  rooms.heard(A, bodyOf({ memory: 10 * MB }), 50);
  const room = await only(rooms);
  rooms.told(room, { ...bigints({ memory: 4 * MB }), stamp: 40n }); // a forger claimed 50
  expect(await withMemory(5 * MB)).toEqual([]);
  rooms.heard(A, bodyOf({ memory: 20 * MB }), 39);
  expect(await withMemory(5 * MB)).toEqual([]);
  rooms.heard(A, bodyOf({ memory: 20 * MB }), 41);
  expect(await withMemory(5 * MB)).toEqual([A]);
});

test("a refusal is remembered until something newer is heard, and says nothing of what came meanwhile", async () => {
  const { rooms, withMemory } = roomsBeside([A]);
  rooms.heard(A, bodyOf({ memory: 10 * MB, disk: 10 * MB }), 1);
  const room = await only(rooms);
  room.refused("memory", 1);
  expect(await withMemory(1)).toEqual([]);
  expect(await rooms.with(1, "disk")).toHaveLength(1);
  rooms.heard(A, bodyOf({ memory: 10 * MB }), 1);
  expect(await withMemory(1)).toEqual([]);
  rooms.heard(A, bodyOf({ memory: 10 * MB }), 2);
  expect(await withMemory(1)).toEqual([A]);
  room.refused("memory", 1);
  expect(await withMemory(1)).toEqual([A]);
});

test("those of whom nothing is known are asked, each once, if nobody else has room: also those who do not answer", async () => {
  const members = Array.from({ length: 20 }, (_, i) => `10.0.1.${i}:1`);
  const last = members.at(-1) as string;
  const { asked, rooms, withMemory } = roomsBeside(members, {
    [members[0] as string]: { memory: MB },
    [last]: { memory: 10 * MB },
  });
  expect(await Promise.all([withMemory(5 * MB), withMemory(5 * MB)])).toEqual([[last], [last]]);
  expect(asked.toSorted()).toEqual(members.toSorted());
  expect(await withMemory(5 * MB)).toEqual([last]);
  expect(await withMemory(MB)).toHaveLength(2);
  expect(asked).toHaveLength(20);
  rooms.heard(A, bodyOf({ memory: 100 * MB }), 1); // of one who is no member
  expect(await withMemory(20 * MB)).toEqual([]);
});

test("what is heard of a member while it is asked in vain counts", async () => {
  const { asked, rooms, withMemory } = roomsBeside([A]);
  const found = withMemory(5 * MB);
  expect(asked).toEqual([A]);
  rooms.heard(A, bodyOf({ memory: 10 * MB }), 1);
  expect(await found).toEqual([A]);
  expect(await withMemory(5 * MB)).toEqual([A]);
});

test("where nobody has room one is asked again each second, those first of whom nothing was heard for longest", async () => {
  const spaces: Record<string, Space> = { [A]: {}, [B]: {}, [C]: {} };
  const { clock, asked, rooms, withMemory } = roomsBeside([A, B, C], spaces);
  for (const [stamp, address] of [B, C, A].entries()) {
    rooms.heard(address, bodyOf({ memory: MB }), stamp + 1);
  }
  spaces[A] = { memory: 10 * MB };
  expect(await withMemory(5 * MB)).toEqual([]);
  for (const sofar of [[B], [B, C], [B, C, A]]) {
    for (let times = 0; times < 10; times++) rooms.askAgain();
    expect(asked).toEqual(sofar);
    await Bun.sleep(0);
    clock.pass(1_000);
  }
  expect(await withMemory(5 * MB)).toEqual([A]);
  rooms.forget(A); // another process may be there
  expect(await withMemory(5 * MB)).toEqual([A]);
  expect(asked).toEqual([B, C, A, A]);
});

test("owners differ in whom they choose of several with as much room", async () => {
  const firsts = Array.from({ length: 50 }, async (_, i) => {
    const rooms = new Rooms(new ManualClock(), {} as Peers, `10.0.2.${i}:1`, () => [A, B, C]);
    for (const address of [A, B, C]) rooms.heard(address, bodyOf({ memory: MB }), 1);
    return (await only(rooms)).address;
  });
  const chosen = await Promise.all(firsts);
  for (const address of [A, B, C]) {
    expect(chosen.filter((one) => one === address).length).toBeGreaterThan(5);
  }
});

test("what is noticeable: an eighth more or less, all of it, or any at all where there was none", () => {
  const said = { memory: 800, disk: 0 };
  for (const [now, is] of [
    [{ memory: 800, disk: 0 }, false],
    [{ memory: 701, disk: 0 }, false],
    [{ memory: 700, disk: 0 }, true],
    [{ memory: 900, disk: 0 }, true],
    [{ memory: 0, disk: 0 }, true],
    [{ memory: 800, disk: 1 }, true],
  ] as const) {
    expect(isNoticeable(said, now)).toBe(is);
  }
});

/** The room of a node that has 800 KiB of memory and as much disk, and what it says of that. */
function ownRoom() {
  const clock = new ManualClock();
  const memory = new Budget(800 << 10);
  const disk = new Budget(800 << 10);
  const said: (readonly [memory: number, disk: number])[] = [];
  let stamp = 0;
  const notices = {
    stamp: () => ++stamp,
    say(body: Uint8Array) {
      const word = decode(RoomResponseSchema, body);
      expect(word.incarnation).toBe(0n); // which nobody could believe
      said.push([Number(word.memory) >> 10, Number(word.disk) >> 10]);
    },
  };
  const files = new FakeFiles();
  const room = new OwnRoom({ clock, memory, disk, files, notices, incarnation: 7n });
  return { clock, memory, disk, said, room };
}

test("a node says what room it has once, and again when that has changed noticeably, once a second at most", () => {
  const { clock, memory, disk, said, room } = ownRoom();
  room.start();
  expect(said).toEqual([[800, 800]]);
  clock.pass(60_000);
  expect(said).toHaveLength(1);
  memory.take(90 << 10);
  clock.pass(10_000);
  expect(said).toHaveLength(1);
  for (let times = 0; times < 10; times++) {
    disk.take(80 << 10); // full in the end
    clock.pass(100);
  }
  clock.pass(10_000);
  expect(said.length).toBeLessThanOrEqual(3);
  expect(said.at(-1)).toEqual([710, 0]);
  disk.give(70 << 10);
  clock.pass(1_000);
  expect(said.at(-1)).toEqual([710, 70]);
  room.stop();
  disk.give(300 << 10);
  clock.pass(10_000);
  expect(said.at(-1)).toEqual([710, 70]);
  expect(clock.timers.size).toBe(0);
});

test("a disk that takes no more counts as full for a while: one segment is sent to learn it, not one of each owner", () => {
  const { clock, said, room } = ownRoom();
  room.start();
  room.diskFailed();
  expect(room.answer()).toMatchObject({ disk: 0n });
  clock.pass(1_000);
  expect(said.at(-1)).toEqual([800, 0]);
  clock.pass(10_000);
  expect(said.at(-1)).toEqual([800, 800]);
  room.stop();
});

test("what is too little for any segment is none; who was refused hears something newer, though it is the same", () => {
  const { clock, memory, disk, said, room } = ownRoom();
  memory.take((800 << 10) - 4_000);
  disk.take((800 << 10) - 65_000);
  room.start();
  expect(said).toEqual([[0, 0]]);
  room.refused();
  room.refused();
  expect(room.refusals).toBe(2);
  clock.pass(5_000);
  expect(said).toEqual([
    [0, 0],
    [0, 0],
  ]);
  const [one, other] = [room.answer(), room.answer()];
  expect(one).toEqual({ memory: 0n, disk: 0n, incarnation: 7n, stamp: 1n });
  expect(other.stamp).toBe(2n);
  room.stop();
});
