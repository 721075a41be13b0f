import { expect, test } from "bun:test";
import { readText } from "../../src/http/body.ts";
import { DEFAULT_TIMEOUT_MS } from "../../src/rpc/limits.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { failureOf } from "../rpc/kit/wait.ts";

test("C1: a body that does not come to its end is given up after a call's default time-out", async () => {
  const clock = new ManualClock();
  const body = new ReadableStream({ start: (to) => to.enqueue(new TextEncoder().encode("k v")) });
  const call = failureOf(
    readText(new Request("http://127.0.0.1/put", { method: "POST", body }), clock),
  );
  clock.pass(DEFAULT_TIMEOUT_MS);
  expect(await call).toMatchObject({ code: "timeout" });
  expect(clock.timers.size).toBe(0);
});
