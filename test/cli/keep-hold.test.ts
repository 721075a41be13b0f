import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { KeptHold, type KeptHoldOptions } from "../../src/cli/hold/keep.ts";
import { KeepHoldResponseSchema } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { leaseTiming } from "../../src/lock/timing.ts";
import { Machine, MAX_DRIFT } from "../simulation/world/machine.ts";
import { Scheduler } from "../simulation/world/scheduler.ts";

const LEASE_MS = 2_000;
const timing = leaseTiming(LEASE_MS);

/** What one sign of life meets. In milliseconds of the world. */
interface Fate {
  readonly thereMs: number;
  /** Of it, and of its answer, nothing arrives. */
  readonly lost: boolean;
  /** The node is stopped for so long between its look at the claim and the sending. */
  readonly stoppedMs: number;
  readonly backMs: number;
}

interface World {
  readonly fates: readonly Fate[];
  readonly nodeRate: number;
  readonly callerRate: number;
  /** How long the grant was under way. */
  readonly grantMs: number;
  /** The node renews no more from then on. */
  readonly lastRenewalAt: number;
  /** The caller is stopped, from and for; then it does not do anything in its belief. */
  readonly pause: readonly [number, number];
}

/**
 * Whether the caller began to believe that it held the claim, when it ceased to, and when another one could have it
 * at the earliest. Control: it counts from when it reads an answer.
 */
function believed(world: World, control = false) {
  const scheduler = new Scheduler();
  const caller = new Machine(scheduler, world.callerRate);
  let renewedAt = 0;
  const renewEveryMs = timing.renewEveryMs / world.nodeRate;
  for (let at = 0; at <= world.lastRenewalAt; at += renewEveryMs) {
    scheduler.at(at, () => (renewedAt = at));
  }
  // By the clock of a database that is as fast as can be.
  const last = Math.floor(world.lastRenewalAt / renewEveryMs) * renewEveryMs;
  const freeAt = last + timing.takeOverAgeMs / (1 + MAX_DRIFT);
  const heldForMs = () => Math.max(0, timing.holdMs - (scheduler.now - renewedAt) * world.nodeRate);
  const fates = world.fates[Symbol.iterator]();
  const keepHold: KeptHoldOptions["client"]["keepHold"] = (_, call) =>
    new Promise((resolve, reject) => {
      const fate = fates.next().value ?? { thereMs: 0, lost: true, stoppedMs: 0, backMs: 0 };
      const sentAt = caller.now();
      const late = caller.schedule(call?.timeoutMs ?? Infinity, () =>
        reject(new ConnectError("late", Code.DeadlineExceeded)),
      );
      if (fate.lost) return;
      scheduler.after(fate.thereMs, () => {
        const forMs = Math.floor(heldForMs());
        scheduler.after(fate.stoppedMs + fate.backMs, () =>
          caller.arrive(() => {
            late.cancel();
            const lease = durationFromMs(control ? forMs + caller.now() - sentAt : forMs);
            resolve(create(KeepHoldResponseSchema, { lease }));
          }),
        );
      });
    });
  let begun = false;
  let until = 0;
  scheduler.at(world.grantMs, () => {
    const signal = new AbortController().signal;
    const options = { clock: caller, client: { keepHold }, hold: "h", signal };
    const kept = new KeptHold({ ...options, forMs: Math.floor(timing.holdMs) });
    void kept.confirmed().then(async (confirmed) => {
      if (!confirmed) return;
      begun = true;
      await kept.untilOver();
      until = scheduler.now;
    });
  });
  const [stoppedAt, stoppedMs] = world.pause;
  scheduler.at(stoppedAt, () => caller.pause());
  scheduler.at(stoppedAt + stoppedMs, () => caller.resume());
  scheduler.runUntil(60_000);
  return { begun, until, freeAt };
}

const rate = fc.double({ min: 1 - MAX_DRIFT, max: 1 + MAX_DRIFT, noNaN: true });
/** Mostly short, now and then as long as a lease and more. */
const delay = fc.oneof(
  { weight: 4, arbitrary: fc.nat(20) },
  { weight: 1, arbitrary: fc.nat(3 * LEASE_MS) },
);
const fate = fc.record({
  thereMs: delay,
  lost: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.boolean()),
  stoppedMs: delay,
  backMs: delay,
});
const worlds = fc.record({
  fates: fc.array(fate, { maxLength: 40 }),
  nodeRate: rate,
  callerRate: rate,
  grantMs: delay,
  lastRenewalAt: fc.nat(20_000),
  pause: fc.tuple(fc.nat(20_000), delay),
});

/** At its first step after a pause the caller is to know. */
function tooLong(world: World, { until, freeAt }: ReturnType<typeof believed>): boolean {
  const [stoppedAt, stoppedMs] = world.pause;
  const resumedAt = stoppedAt + stoppedMs;
  const asleep = stoppedAt <= freeAt && freeAt <= resumedAt;
  return until > Math.max(freeAt, asleep ? resumedAt : 0);
}

test("whatever is late, lost or stopped: nobody goes on in its belief until another can have the claim", () => {
  let begun = 0;
  fc.assert(
    fc.property(worlds, (world) => {
      const found = believed(world);
      if (found.begun) begun++;
      expect(tooLong(world, found)).toBe(false);
    }),
    { numRuns: 2_000 },
  );
  expect(begun).toBeGreaterThan(500);
});

test("control: one that counts from when it reads an answer goes on for too long", () => {
  const found = fc.check(
    fc.property(worlds, (world) => !tooLong(world, believed(world, true))),
    { numRuns: 5_000 },
  );
  expect(found.failed).toBe(true);
});

test("a node that does not say for how long is older: one line that names the mend", async () => {
  const clock = new Machine(new Scheduler());
  const keepHold = async () => create(KeepHoldResponseSchema, {});
  const signal = new AbortController().signal;
  const kept = new KeptHold({ clock, client: { keepHold }, hold: "h", forMs: 1_000, signal });
  expect(await kept.confirmed().catch((error: unknown) => error)).toMatchObject({
    code: "not_supported",
    message: expect.stringContaining("replace it"),
  });
});
