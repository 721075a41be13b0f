import { expect, test } from "bun:test";
import { DirectAnswer } from "../../src/rpc/direct-answer.ts";

test("what is written comes in its order, and ends with its closing", async () => {
  const answer = new DirectAnswer(() => {});
  const text = new Response(answer.body).text();
  await answer.opened;
  void answer.write(Buffer.from("one "));
  void answer.write(Buffer.from("two"));
  answer.close();
  expect(await text).toBe("one two");
});

test("it has copied the bytes when it returns", async () => {
  const answer = new DirectAnswer(() => {});
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response(answer.body),
  });
  const response = fetch(server.url);
  await answer.opened;
  const bytes = new Uint8Array(256 * 1024).fill(7);
  const full = answer.write(bytes);
  bytes.fill(9);
  await full;
  void answer.write(Uint8Array.of(8));
  answer.close();
  const received = await (await response).bytes();
  await server.stop(true);
  expect(received.length).toBe(bytes.length + 1);
  expect(received.indexOf(9)).toBe(-1);
  expect(received.at(-1)).toBe(8);
});

test("a reader that leaves is told; what is written then goes nowhere", async () => {
  let left = 0;
  const answer = new DirectAnswer(() => void left++);
  const reader = answer.body.getReader();
  const first = reader.read();
  await answer.opened;
  void answer.write(Buffer.from("x"));
  expect((await first).value).toEqual(new Uint8Array(Buffer.from("x")));
  await reader.cancel();
  expect(left).toBe(1);
  expect(answer.write(Buffer.from("y"))).toBeUndefined();
  answer.close();
});

test("a reader that leaves before it has read anything lets the writer go on", async () => {
  const answer = new DirectAnswer(() => {});
  await answer.body.cancel();
  await answer.opened;
});
