import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import {
  type AuthorityLog,
  loadAuthorities,
  RELOAD_INTERVAL_MS,
  rotateAuthority,
  SETTLING_MS,
} from "../../src/rpc/authority.ts";
import { MemoryDatabase } from "../../src/store/memory/database.ts";
import { ManualClock } from "./kit/clock.ts";

function start() {
  const clock = new ManualClock();
  const log = new MemoryDatabase(clock).connect().log as AuthorityLog;
  const load = () => loadAuthorities(log, clock, "10.0.0.1:8080", null);
  const rotate = () => rotateAuthority(log, clock, "operator");
  return { clock, log, load, rotate };
}

test("the authority that follows is trusted at once, signs once all nodes know it, and drives out the third", async () => {
  const { clock, load, rotate } = start();
  const first = (await load()).signer.cert;
  expect(await rotate()).toBe(2);
  const during = await load();
  expect(during.signer.cert).toBe(first);
  expect(during.trusted).toHaveLength(2);
  expect(during.trusted[1]).toBe(first);
  clock.pass(SETTLING_MS + 1);
  const after = await load();
  expect(after.signer.cert).toBe(after.trusted[0] as string);
  expect(new X509Certificate(after.signer.cert).ca).toBe(true);
  clock.pass(2 * RELOAD_INTERVAL_MS);
  expect(await rotate()).toBe(3);
  expect((await load()).trusted).not.toContain(first);
});

test("no rotation follows another before every node can have taken that up", async () => {
  const { clock, rotate, load } = start();
  await load();
  await rotate();
  clock.pass(SETTLING_MS + 1);
  await expect(rotate()).rejects.toMatchObject({
    code: "conflict",
    message: "authority 2 is still being taken up: rotate again in 10 min",
  });
  clock.pass(2 * RELOAD_INTERVAL_MS);
  expect(await rotate()).toBe(3);
});

test("of two rotations at once one wins, the other says so", async () => {
  const { load, rotate } = start();
  await load();
  const ended = await Promise.allSettled([rotate(), rotate()]);
  expect(ended.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  expect((await load()).trusted).toHaveLength(2);
});

test("a store without an authority says where the first one comes from", async () => {
  await expect(start().rotate()).rejects.toMatchObject({
    code: "not_found",
    message: expect.stringContaining("first node that starts"),
  });
});
