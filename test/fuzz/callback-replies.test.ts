import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { until } from "../rpc/kit/wait.ts";
import { atEnd, callback, context } from "../sidecar/kit.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { bytes } from "../rpc/kit/nodes.ts";
import { chunksOf, join, mutate, randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";
import { text } from "./kit/texts.ts";

// What the sidecar makes of the answers of the service beside it, which may be anybody's program.

const MAX_REPLY_BYTES = 1_000;
/** A service that says nothing is left after this. */
const PATIENCE_MS = 60;
/** What the sender is told, in characters. */
const MAX_TOLD = 700;

const STATUSES = [
  "200 OK",
  "204 No Content",
  "100 Continue",
  "302 Found",
  "404 No",
  "500 x",
  "99 x",
];
const HEADERS = [
  "content-encoding: gzip",
  "content-encoding: identity",
  "location: http://127.0.0.1:1/",
  "transfer-encoding: chunked",
  "connection: close",
  "set-cookie: a=b",
  `x: ${"y".repeat(20_000)}`,
  "content-length: 5",
];

function answer(prng: Prng): Uint8Array {
  const body = prng.pick([
    () => randomBytes(prng, 100),
    () => bytes(text(prng)),
    () => bytes("5\r\nhello\r\n0\r\n\r\n"),
    () => new Uint8Array(MAX_REPLY_BYTES + prng.int(3) - 1),
    () => new Uint8Array(200_000),
  ])();
  const length = prng.pick([body.length, body.length, body.length + 9, 99_999_999_999, -1]);
  const framing = prng.chance(0.8) ? `content-length: ${length}` : "transfer-encoding: chunked";
  const others = Array.from({ length: prng.int(2) }, () => `${prng.pick(HEADERS)}\r\n`).join("");
  const head = `HTTP/1.1 ${prng.pick(STATUSES)}\r\n${framing}\r\n${others}\r\n`;
  const whole = join(bytes(head), body);
  return prng.chance(0.6) ? whole : mutate(prng, whole);
}

test(
  "any answer of the service is a reply of a bounded size, or a typed error in one line",
  async () => {
    const outcomes = new Set<string>();
    await asyncRounds(60, async (prng) => {
      const server = Bun.listen({
        hostname: "127.0.0.1",
        port: 0,
        socket: {
          data(socket) {
            for (const chunk of chunksOf(prng, answer(prng))) socket.write(chunk);
            if (prng.chance(0.7)) socket.end();
          },
        },
      });
      const url = new URL(`http://127.0.0.1:${server.port}/`);
      const { handle, logger } = callback(url, { maxReplyBytes: MAX_REPLY_BYTES });
      const late = new HedgerowError("timeout", "no answer in time");
      const calls = Array.from({ length: 4 }, async () => {
        const patience = new AbortController();
        const timer = setTimeout(() => patience.abort(late), PATIENCE_MS);
        const { signal } = patience;
        try {
          const reply = await handle(bytes("secret"), context({ signal, timeoutMs: PATIENCE_MS }));
          expect(reply.length).toBeLessThanOrEqual(MAX_REPLY_BYTES);
          return "replied";
        } catch (error) {
          const code = expectTyped(error, () => "a callback");
          const { message } = error as HedgerowError;
          expect(message).not.toMatch(/[\r\n]/);
          expect(message.length).toBeLessThan(MAX_TOLD);
          return code;
        } finally {
          clearTimeout(timer);
        }
      });
      for (const outcome of await Promise.all(calls)) outcomes.add(outcome);
      server.stop(true);
      expect(logger.lines.join()).not.toContain("secret");
    });
    const expected = ["handler_failed", "replied", "timeout", "too_large"];
    expect([...outcomes]).toEqual(expect.arrayContaining(expected));
  },
  boundMs(30_000),
);

test("services that leave every answer open take no turns from those that come later", async () => {
  const open = new Set<{ end(): unknown }>();
  let stuck = true;
  const server = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        open.add(socket);
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe");
        if (!stuck) socket.write("llo");
      },
      close: (socket) => void open.delete(socket),
    },
  });
  atEnd(() => server.stop(true));
  const { handle } = callback(new URL(`http://127.0.0.1:${server.port}/`));
  const late = new HedgerowError("timeout", "no answer in time");
  const leave = new AbortController();
  const calls = Array.from({ length: 100 }, () =>
    handle(bytes("x"), context({ signal: leave.signal })).catch((error: unknown) => error),
  );
  await until("some are under way", () => open.size > 0);
  leave.abort(late);
  for (const outcome of await Promise.all(calls)) expect(outcome).toBe(late);
  stuck = false;
  expect(Buffer.from(await handle(bytes("x"), context())).toString()).toBe("hello");
  await until("what was left is closed", () => open.size <= 1);
});
