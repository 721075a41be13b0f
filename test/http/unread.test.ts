import { expect, test } from "bun:test";
import { takeUnread } from "../../src/http/unread.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { appKit } from "./app-kit.ts";

/** A POST that says it has `declared` bytes, which come when they are written. */
function slowly(path: string, declared: number) {
  const body = new TransformStream<Uint8Array, Uint8Array>();
  const init: RequestInit = {
    method: "POST",
    headers: { "content-length": String(declared), host: "foreign.example" },
    body: body.readable,
  };
  return { path, init, writer: body.writable.getWriter() };
}

/** Whether it is over once all that can go on without a timer has gone on. */
async function isOver(work: Promise<unknown>): Promise<boolean> {
  const turn = new Promise((resolve) => setImmediate(() => setImmediate(resolve, "later")));
  return (await Promise.race([work.then(() => "over"), turn])) === "over";
}

test("a refused request is answered once its body has come", async () => {
  const { path, init, writer } = slowly("/put", 3);
  const answer = appKit().ask(path, init);
  expect(await isOver(answer)).toBe(false);
  await writer.write(Buffer.from("k v"));
  await writer.close();
  expect((await answer).status).toBe(421);
});

test("a body that does not come is waited for no longer than a second", async () => {
  const clock = new ManualClock();
  const { init } = slowly("/put", 3);
  const taken = takeUnread(new Request("http://127.0.0.1/put", init), clock);
  clock.pass(999);
  expect(await isOver(taken)).toBe(false);
  clock.pass(1);
  await taken;
  expect(clock.timers.size).toBe(0);
});

test("neither a long body nor a stream is waited for", async () => {
  const long = slowly("/put", 1_000_000);
  expect((await appKit().ask(long.path, long.init)).status).toBe(421);
  const { body } = slowly("/put", 0).init;
  const stream = { method: "POST", headers: { host: "foreign.example" }, body: body ?? null };
  expect((await appKit().ask("/put", stream)).status).toBe(421);
});
