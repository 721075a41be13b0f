import { expect, test as once } from "bun:test";
import { leaseTiming } from "../../src/lock/timing.ts";
import { until } from "../cli/process-kit.ts";
import { faultyWorld, lockRow, ROW, startContender } from "./lease-kit.ts";
import { describeWithEmulator, IN_REAL_TIME } from "./rule.ts";

const LEASE_MS = 1_000;
/** Distinct enough to be found in what is sent. */
const WRITER = "10.0.0.1:8080";
const timing = leaseTiming(LEASE_MS);
/** From the last heartbeat until somebody leads again, on a busy machine. */
const FAILOVER_MS = timing.takeOverAgeMs + 20_000;

const test = (name: string, run: () => Promise<void>) => once(name, run, IN_REAL_TIME);

describeWithEmulator("a lease on Spanner", () => {
  test("L4: the row is deleted under its leader: it steps down, and leads again by another token", async () => {
    await using world = await faultyWorld();
    const { path, sql, emulatorHost: host } = world;
    await using leader = await startContender({ path, host, writer: WRITER, leaseMs: LEASE_MS });
    await until("it leads", () => leader.lease.claim());
    const before = leader.lease.claim()?.token ?? 0;
    await world.deleteLockRow(ROW);
    await until("it leads by another token", () => (leader.lease.claim()?.token ?? 0) > before);
    expect(leader.tokens).toEqual([before, leader.lease.claim()?.token ?? 0]);
    expect((await lockRow(sql))?.writer).toBe(WRITER);
  });

  test("L4: the first insert into the empty table fails: it does not lead by that, and then does", async () => {
    await using world = await faultyWorld();
    const { path, sql, proxy } = world;
    const { host } = proxy;
    const lost = proxy.loseRequest(WRITER).then(() => proxy.refuse());
    await using leader = await startContender({ path, host, writer: WRITER, leaseMs: LEASE_MS });
    await lost;
    await until("the take-over has failed", () => leader.failures.length > 0);
    expect(leader.failures[0]).toStartWith("contend ");
    expect(await sql.query("SELECT name FROM locktable")).toEqual([]);
    expect(leader.tokens).toEqual([]);
    await proxy.accept();
    await until("it leads", () => leader.lease.claim());
    expect(leader.tokens).toEqual([(await lockRow(sql))?.token ?? 0]);
  });

  test("L7: a leader whose process stood still past its lease knows it before it does anything else", async () => {
    await using world = await faultyWorld();
    const { path, emulatorHost: host } = world;
    await using leader = await startContender({ path, host, writer: WRITER, leaseMs: LEASE_MS });
    await until("it leads", () => leader.lease.claim());
    const [before = 0] = leader.tokens;
    // Whatever renewal is under way is answered meanwhile, and handled after.
    Bun.sleepSync(timing.holdMs + 50);
    expect(leader.lease.claim()).toBeNull();
    await until("it leads again", () => leader.lease.claim());
    expect(leader.lease.claim()?.token).toBeGreaterThan(before);
  });

  test("L7: a renewal whose answer comes after the lease does not count", async () => {
    await using world = await faultyWorld();
    const { path, sql, proxy } = world;
    const { host } = proxy;
    await using leader = await startContender({ path, host, writer: WRITER, leaseMs: LEASE_MS });
    await until("it leads", () => leader.lease.claim());
    const [token = 0] = leader.tokens;
    const renewal = proxy.loseReplyTo("heartbeat");
    await renewal.passed;
    await until("the renewal is committed", async () => {
      const row = await lockRow(sql);
      return row !== null && row.heartbeat > row.token;
    });
    await until("it steps down", () => leader.lease.claim() === null);
    renewal.release();
    await until("it leads again", () => leader.lease.claim(), FAILOVER_MS + LEASE_MS);
    expect(leader.lease.claim()?.token).toBeGreaterThan(token);
    expect(leader.tokens.length).toBe(2);
  });

  test("L9: renewals that fail for a part of the lease are tried again, and cost nothing", async () => {
    await using world = await faultyWorld();
    const { path, sql, proxy } = world;
    const { host } = proxy;
    const leaseMs = 3_000;
    await using leader = await startContender({ path, host, writer: WRITER, leaseMs });
    await until("it leads", () => leader.lease.claim());
    const { heartbeat: first = 0 } = (await lockRow(sql)) ?? {};
    await proxy.refuse();
    await until("two renewals have failed", () => leader.failures.length >= 2);
    await proxy.accept();
    await until("it renews", async () => {
      expect(leader.lease.claim()).not.toBeNull();
      return ((await lockRow(sql))?.heartbeat ?? 0) > first;
    });
    expect(new Set(leader.failures)).toEqual(new Set(["renew unavailable"]));
    expect(leader.tokens.length).toBe(1);
  });

  test("L9: a leader that cannot renew has stepped down by its own clock before another takes over", async () => {
    await using world = await faultyWorld();
    const { path, sql, proxy, emulatorHost } = world;
    const { host } = proxy;
    await using leader = await startContender({ path, host, writer: WRITER, leaseMs: LEASE_MS });
    await until("it leads", () => leader.lease.claim());
    const claims: unknown[] = [];
    await using next = await startContender({
      path,
      host: emulatorHost,
      writer: "10.0.0.2:8080",
      leaseMs: LEASE_MS,
      onChange: (leads) => void (leads && claims.push(leader.lease.claim())),
    });
    await proxy.refuse();
    const { heartbeat: last = 0 } = (await lockRow(sql)) ?? {};
    await until("the other leads", () => next.lease.claim(), FAILOVER_MS);
    expect(claims).toEqual([null]);
    const [token = 0] = next.tokens;
    expect((token - last) / 1_000).toBeGreaterThanOrEqual(timing.takeOverAgeMs);
    expect(leader.failures).toContain("renew unavailable");
    await proxy.accept();
  });

  test("L15: the take-over was committed, its reply lost: it does not lead until it took a new token", async () => {
    await using world = await faultyWorld();
    const { path, sql, proxy } = world;
    const { host } = proxy;
    const reply = proxy.loseReplyTo(WRITER);
    await using leader = await startContender({ path, host, writer: WRITER, leaseMs: LEASE_MS });
    await reply.passed;
    await until("the take-over is committed", () => lockRow(sql));
    const { writer, token: unknown = 0 } = (await lockRow(sql)) ?? {};
    expect(writer).toBe(WRITER);
    proxy.silence();
    await until("it leads", () => leader.lease.claim(), FAILOVER_MS);
    expect(leader.failures[0]).toStartWith("contend ");
    expect(leader.tokens.length).toBe(1);
    const [token = 0] = leader.tokens;
    expect((token - unknown) / 1_000).toBeGreaterThanOrEqual(timing.takeOverAgeMs);
  });

  test("L15: the connection broke after the take-over's commit: the same commit, sent again, tells its token", async () => {
    await using world = await faultyWorld();
    const { path, sql, proxy } = world;
    const { host } = proxy;
    const reply = proxy.loseReplyTo(WRITER);
    await using leader = await startContender({
      path,
      host,
      writer: WRITER,
      leaseMs: 3 * LEASE_MS,
    });
    await reply.passed;
    await until("the take-over is committed", () => lockRow(sql));
    const { token } = (await lockRow(sql)) ?? {};
    expect(leader.lease.claim()).toBeNull();
    reply.cut();
    await until("it leads", () => leader.lease.claim());
    expect(leader.lease.claim()?.token).toBe(token);
  });

  test("a connection that goes silent under the leader is replaced within its lease", async () => {
    await using world = await faultyWorld();
    const { path, sql, proxy } = world;
    const { host } = proxy;
    const leaseMs = 9_000;
    await using leader = await startContender({ path, host, writer: WRITER, leaseMs });
    await until("it leads", () => leader.lease.claim());
    const { heartbeat: first = 0 } = (await lockRow(sql)) ?? {};
    proxy.silence();
    await until("it renews", async () => {
      expect(leader.lease.claim()).not.toBeNull();
      return ((await lockRow(sql))?.heartbeat ?? 0) > first;
    });
    expect(leader.failures).toEqual(["renew timeout"]);
    expect(leader.tokens.length).toBe(1);
  });
});
