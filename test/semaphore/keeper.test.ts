import { expect, test } from "bun:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../../src/errors.ts";
import {
  AcquirePermitRequestSchema,
  AwaitPermitsRequestSchema,
  ReleasePermitRequestSchema,
  RenewPermitsRequestSchema,
} from "../../src/gen/hedgerow/v1/claims_pb.ts";
import { LeaderDirectory } from "../../src/lock/directory.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { Keeper } from "../../src/semaphore/keeper.ts";
import { permitTiming } from "../../src/semaphore/timing.ts";
import { MemoryDatabase } from "../../src/store/memory/database.ts";

const runtime = systemRuntime();

function keeper(options: { leads?: boolean; log?: boolean } = {}): Keeper {
  const { leads = true, log = true } = options;
  const directory = new LeaderDirectory();
  directory.learn({ address: "10.0.0.9:8080", token: 9, released: false });
  const { semaphores } = new MemoryDatabase(runtime.clock).connect({ log });
  return new Keeper({
    runtime,
    store: semaphores,
    logger: silentLogger,
    directory,
    leadership: { claim: () => (leads ? { token: 1, fence: null } : null), refute() {} },
    timing: permitTiming(2_000),
    self: "10.0.0.1:8080",
    incarnationsAt: () => [],
    meet: async () => {},
  });
}

const CLAIM = { semaphore: "s", owner: "o", grant: "g" };
const FINE = { claim: CLAIM, limit: 1, holder: "h:1", incarnation: 5n };

const requests = (served: Keeper) => ({
  acquire: (request: MessageInitShape<typeof AcquirePermitRequestSchema>) =>
    served.serveAcquire(create(AcquirePermitRequestSchema, request)),
  await: (request: MessageInitShape<typeof AwaitPermitsRequestSchema>) =>
    served.serveAwait(create(AwaitPermitsRequestSchema, request), {}),
  release: (request: MessageInitShape<typeof ReleasePermitRequestSchema>) =>
    served.serveRelease(create(ReleasePermitRequestSchema, request)),
  renew: (request: MessageInitShape<typeof RenewPermitsRequestSchema>) =>
    served.serveRenew(create(RenewPermitsRequestSchema, request)),
});

async function failureOf(call: Promise<unknown>): Promise<HedgerowError> {
  return HedgerowError.from(
    await call.then(
      () => new Error("it did not fail"),
      (error: unknown) => error,
    ),
  );
}

test("what no node says is refused", async () => {
  const { acquire, await: ask, release, renew } = requests(keeper());
  const many = Array.from({ length: 1_001 }, () => CLAIM);
  const wrong = [
    acquire({}),
    acquire({ ...FINE, claim: { ...CLAIM, semaphore: "a b" } }),
    acquire({ ...FINE, claim: { ...CLAIM, semaphore: "" } }),
    acquire({ ...FINE, claim: { ...CLAIM, owner: "" } }),
    acquire({ ...FINE, claim: { ...CLAIM, grant: "" } }),
    acquire({ ...FINE, claim: { ...CLAIM, grant: "g".repeat(65) } }),
    acquire({ ...FINE, limit: 0 }),
    acquire({ ...FINE, holder: "" }),
    acquire({ ...FINE, incarnation: 0n }),
    acquire({ ...FINE, incarnation: 2n ** 60n }),
    ask({ holder: "h:1", incarnation: 0n }),
    ask({ holder: "", incarnation: 5n }),
    ask({ holder: "h:1", incarnation: 5n, grants: many.map(({ grant }) => grant) }),
    release({}),
    release({ claim: { ...CLAIM, owner: "\uD800" } }),
    renew({ claims: [CLAIM, {}] }),
    renew({ claims: many }),
  ];
  for (const call of wrong) expect((await failureOf(call)).code).toBe("invalid_argument");
  await acquire(FINE);
});

test("a node that does not lead says who does", async () => {
  const { acquire, await: ask, release, renew } = requests(keeper({ leads: false }));
  for (const call of [
    acquire(FINE),
    ask({ holder: "h:1", incarnation: 5n, waitMs: 5 }),
    release({ claim: CLAIM }),
    renew({ claims: [CLAIM] }),
  ]) {
    const { code, leader } = await failureOf(call);
    expect([code, leader?.address]).toEqual(["not_leader", "10.0.0.9:8080"]);
  }
});

test("without a log table there are no semaphores", async () => {
  const served = keeper({ log: false });
  served.onLeaseChange(true);
  expect((await failureOf(requests(served).acquire(FINE))).code).toBe("not_supported");
});

test("the end of a reign ends what waits", async () => {
  const served = keeper();
  const { acquire, await: ask } = requests(served);
  await acquire(FINE);
  const waits = { ...FINE, claim: { ...CLAIM, owner: "p", grant: "h" }, wait: true };
  expect((await acquire(waits)).outcome).toBe(2);
  const waiting = ask({ holder: "h:1", incarnation: 5n, grants: ["h"], waitMs: 60_000 });
  served.onLeaseChange(false);
  // It leads on by what it is told, and has forgotten those who waited.
  expect(await waiting).toMatchObject({ acquired: [] });
  expect(await ask({ holder: "h:1", incarnation: 5n, grants: ["h"] })).toMatchObject({
    unknown: ["h"],
  });
});
