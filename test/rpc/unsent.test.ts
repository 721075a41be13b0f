import { expect, test } from "bun:test";
import { ReplyRoom } from "../../src/rpc/reply-room.ts";
import { ClientConnection, LOOK_EVERY_MS, UnsentReplies } from "../../src/rpc/unsent.ts";
import { ManualClock } from "./kit/clock.ts";
import { failureOf } from "./kit/wait.ts";

const LIMITS = { connectionBytes: 100_000, totalBytes: 250_000 };
const PATIENT = { timeoutMs: 5_000 };

function world() {
  const clock = new ManualClock();
  const all = new UnsentReplies(clock, LIMITS);
  const cut: string[] = [];
  const client = (name: string) => {
    const connection = new ClientConnection();
    const room = () =>
      new ReplyRoom(
        all,
        () => connection,
        () => void cut.push(name),
      );
    /** A reply that nobody reads. */
    const unread = async (bytes: number) => {
      const reply = room();
      await reply.reserve(bytes, PATIENT);
      reply.settle(bytes);
      return reply;
    };
    return { connection, room, unread };
  };
  return { clock, all, cut, client };
}

/** What was admitted so far, by the names that the test gave. */
function admissions() {
  const admitted: string[] = [];
  const note = (name: string, waiting: Promise<unknown>) => {
    void waiting.then(
      () => admitted.push(name),
      () => {}, // looked at by those who care
    );
  };
  return { admitted, note };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

test("calls of a connection wait for room, in their order, and others do not", async () => {
  const { client } = world();
  const [a, b] = [client("a"), client("b")];
  const first = await a.unread(60_000);
  const { admitted, note } = admissions();
  note("second", a.room().reserve(50_000, PATIENT));
  note("small, behind it", a.room().reserve(10, PATIENT));
  note("other", b.room().reserve(50_000, PATIENT));
  await settled();
  expect(admitted).toEqual(["other"]);
  first.release();
  first.release();
  await settled();
  expect(admitted).toEqual(["other", "second", "small, behind it"]);
});

test("the room of a reply that turns out smaller is free for others at once", async () => {
  const { client } = world();
  const a = client("a");
  const reply = a.room();
  await reply.reserve(90_000, PATIENT);
  const { admitted, note } = admissions();
  note("next", a.room().reserve(90_000, PATIENT));
  await settled();
  expect(admitted).toEqual([]);
  reply.settle(10);
  await settled();
  expect(admitted).toEqual(["next"]);
});

test("one call may always be made, also one whose reply is over the limit", async () => {
  const { client } = world();
  await client("a").unread(1_000_000);
});

test("all connections together have a limit, and come by turns", async () => {
  const { client } = world();
  const full = await Promise.all(["a", "b", "c"].map((name) => client(name).unread(80_000)));
  const [greedy, modest] = [client("greedy"), client("modest")];
  const { admitted, note } = admissions();
  for (let i = 0; i < 3; i++) note("greedy", greedy.room().reserve(40_000, PATIENT));
  note("modest", modest.room().reserve(40_000, PATIENT));
  await settled();
  expect(admitted).toEqual([]);
  full[0]?.release();
  await settled();
  expect(admitted).toEqual(["greedy", "modest"]);
});

test("who waits for too long is refused with `overloaded`, who leaves takes no room", async () => {
  const { client, clock } = world();
  const a = client("a");
  const held = await a.unread(90_000);
  const late = failureOf(a.room().reserve(50_000, PATIENT));
  const leaves = new AbortController();
  const left = failureOf(a.room().reserve(50_000, { ...PATIENT, signal: leaves.signal }));
  const gone = a.room();
  const over = failureOf(gone.reserve(50_000, { timeoutMs: 10_000 }));
  leaves.abort();
  expect(await left).toMatchObject({ code: "canceled" });
  clock.pass(PATIENT.timeoutMs);
  expect(await late).toMatchObject({ code: "overloaded" });
  gone.release(); // its caller has had its answer
  held.release();
  expect(await over).toMatchObject({ code: "canceled" });
  expect(a.connection).toMatchObject({ unsent: 0, reserved: 0 });
  expect(a.connection.waiters.size).toBe(0);
  await a.unread(100_000);
});

test("where too much waits already, nothing more is begun, and what was done is refused far beyond", async () => {
  const { client } = world();
  const a = client("a");
  await a.unread(90_000);
  a.room().check();
  const sent = a.room();
  sent.settle(80_000); // it was under way
  expect(() => a.room().check()).toThrow("too many bytes of replies wait");
  expect(() => a.room().settle(80_000)).toThrow("it was done, but its reply of 80000 bytes");
  a.room().settle(100); // a word is always said
  sent.release();
  a.room().check();
});

test("who takes nothing for half a minute is cut off, and no timer is left", async () => {
  const { client, clock, cut } = world();
  const [stalled, slow] = [client("stalled"), client("slow")];
  const replies = [await stalled.unread(50_000), await slow.unread(50_000)];
  for (let second = 0; second < 40; second++) {
    slow.connection.takenBytes += 1_024;
    clock.pass(LOOK_EVERY_MS);
    if (second < 29) expect(cut).toEqual([]);
  }
  expect(cut).toEqual(["stalled"]);
  expect(stalled.connection.unsent).toBe(0);
  for (const reply of replies) reply.release();
  clock.pass(LOOK_EVERY_MS);
  expect(clock.timers.size).toBe(0);
});

test("a process that was stopped for minutes takes nobody for stalled", async () => {
  const { client, clock, cut } = world();
  await client("a").unread(50_000);
  const [[key, timer] = []] = clock.timers;
  clock.timers.delete(key as object);
  clock.jumpWall(600_000);
  timer?.run(); // ten minutes late
  expect(cut).toEqual([]);
});

test("who takes nothing while others wait for the room is cut off sooner", async () => {
  const { client, clock, cut } = world();
  for (const name of ["a", "b"]) await client(name).unread(100_000);
  const reads = client("reads");
  await reads.unread(40_000);
  const { admitted, note } = admissions();
  note("waits", client("waits").room().reserve(50_000, { timeoutMs: 60_000 }));
  for (let second = 0; second < 5; second++) {
    expect(admitted).toEqual([]);
    reads.connection.takenBytes += 16 * 1_024;
    clock.pass(LOOK_EVERY_MS);
    await settled();
  }
  expect(cut).toEqual(["a", "b"]);
  expect(admitted).toEqual(["waits"]);
});

test("a large body counts until it is read, left or cut off; a small one does not", async () => {
  const { client } = world();
  const a = client("a");
  const caller = new AbortController();
  const bodyOf = (bytes: number) => {
    const room = a.room();
    return { room, body: room.bodyOf(new Uint8Array(bytes).fill(7), caller) };
  };
  expect(bodyOf(1_000).body).toBeInstanceOf(Uint8Array);
  expect(a.connection.unsent).toBe(0);
  const read = bodyOf(90_000);
  expect(a.connection.unsent).toBe(90_000);
  const bytes = await new Response(read.body).bytes();
  expect([bytes.length, bytes.every((byte) => byte === 7)]).toEqual([90_000, true]);
  expect(a.connection.unsent).toBe(0);
  const left = bodyOf(90_000).body as ReadableStream;
  await left.cancel();
  expect(a.connection.unsent).toBe(0);
  const { room, body } = bodyOf(90_000);
  room.cut();
  expect(a.connection.unsent).toBe(0);
  expect(await failureOf(new Response(body).bytes())).toMatchObject({ code: "overloaded" });
  bodyOf(90_000);
  caller.abort();
  expect(a.connection.unsent).toBe(0);
});
