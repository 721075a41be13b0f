import { expect, test } from "bun:test";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Tokens } from "../../src/http/access.ts";
import { StreamEnds } from "../../src/http/stream-ends.ts";
import { tokensOf } from "../../src/http/tokens.ts";

const WATCH = "/hedgerow.v1.HedgerowService/WatchLog";
const HOLD = "/hedgerow.v1.HedgerowService/HoldLock";
const HEALTH = "/grpc.health.v1.Health/Watch";

const call = (path: string, token: string) => ({ path, authorization: `Bearer ${token}` });
const codeOf = ({ reason }: AbortSignal) =>
  reason instanceof ConnectError ? reason.code : undefined;

/** Tokens that a test exchanges. */
function changing() {
  let current = tokensOf([{ token: "a", permission: "write" }]);
  const followers = new Set<() => void>();
  const tokens: Tokens = {
    permissionOf: (token) => current.permissionOf(token),
    onChange(changed) {
      followers.add(changed);
      return () => void followers.delete(changed);
    },
  };
  const list = (listed: Parameters<typeof tokensOf>[0]) => {
    current = tokensOf(listed);
    for (const changed of followers) changed();
  };
  return { tokens, list, followers };
}

test("streams end when their token may no longer do what they need, and not before", () => {
  const { tokens, list } = changing();
  const ends = new StreamEnds(tokens);
  const [watch, hold, health] = [WATCH, HOLD, HEALTH].map((path) =>
    ends.signalFor(call(path, "a")),
  );
  expect(ends.signalFor(call(WATCH, "a"))).toBe(watch as AbortSignal);
  list([
    { token: "a", permission: "write" },
    { token: "b", permission: "read" },
  ]);
  const other = ends.signalFor(call(WATCH, "b"));
  expect([watch, hold, health].map((signal) => signal?.aborted)).toEqual([false, false, false]);
  list([
    { token: "a", permission: "read" },
    { token: "b", permission: "read" },
  ]);
  expect(codeOf(hold as AbortSignal)).toBe(Code.PermissionDenied);
  expect(watch?.aborted).toBe(false);
  list([{ token: "b", permission: "read" }]);
  expect(codeOf(watch as AbortSignal)).toBe(Code.Unauthenticated);
  expect([other.aborted, health?.aborted]).toEqual([false, false]);
  list([
    { token: "a", permission: "write" },
    { token: "b", permission: "read" },
  ]);
  expect(ends.signalFor(call(WATCH, "a")).aborted).toBe(false); // it counts again
});

test("at a stop all end, with or without tokens, and changes are no longer followed", () => {
  const { tokens, followers } = changing();
  for (const asked of [tokens, null]) {
    const ends = new StreamEnds(asked);
    const watch = ends.signalFor(call(WATCH, "a"));
    ends.stop();
    expect(codeOf(watch)).toBe(Code.Unavailable);
    expect(codeOf(ends.signalFor(call(HOLD, "a")))).toBe(Code.Unavailable);
  }
  expect(followers.size).toBe(0);
});
