import { describe, expect, test } from "bun:test";
import { chmod, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { checkClocks } from "../../src/cli/doctor/clock.ts";
import type { Finding } from "../../src/cli/doctor/finding.ts";
import {
  checkGrpcPort,
  checkHttpPort,
  checkPeerPort,
  checkPeers,
} from "../../src/cli/doctor/network.ts";
import { checkStore } from "../../src/cli/doctor/store.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { openStore } from "../../src/store/open.ts";
import { cli } from "./cli-kit.ts";
import { freePorts, inFolder } from "./process-kit.ts";

const runtime = systemRuntime();
const { clock } = runtime;

describe("clocks", () => {
  const at = (iso: string) => ({ ...clock, wallMicros: () => Date.parse(iso) * 1000 });
  const wall = (iso: string, written: string | null) =>
    checkClocks(at(iso), written === null ? null : Date.parse(written))[0];

  test("this machine's are fine", () => {
    expect(checkClocks(clock, null).map(({ ok }) => ok)).toEqual([true, true]);
  });

  test("a clock that was never set is told", () => {
    expect(wall("1970-01-01T00:01:00Z", null)).toEqual({
      check: "wall clock",
      ok: false,
      says: "it says 1970-01-01T00:01:00.000Z: set the clock, as by NTP",
    });
  });

  test("a clock behind the file that it keeps is told", () => {
    expect(wall("2026-11-21T00:00:00Z", "2026-11-21T00:05:00Z")?.says).toContain("300 s before");
    expect(wall("2026-11-21T00:00:00Z", "2026-11-21T00:00:30Z")?.ok).toBe(true);
  });

  test("a boot clock that stands still at zero is told", () => {
    const [, boot] = checkClocks({ ...clock, now: () => 0 }, null);
    expect(boot?.ok).toBe(false);
  });
});

describe("store", () => {
  const question = {
    lockTable: "locktable",
    logTable: "logtable",
    lockName: "hedgerow",
    leaseMs: 30_000,
  };
  const look = (path: string) => checkStore({ ...question, spec: `sqlite:${path}` }, runtime);
  const storeOf = (findings: readonly Finding[]) => findings.find(({ check }) => check === "store");

  test("one that is not there yet is fine, and is not made", async () => {
    await inFolder(async (folder) => {
      const { findings, leader, writtenMs } = await look(join(folder, "x.db"));
      expect(storeOf(findings)).toMatchObject({ ok: true });
      expect(storeOf(findings)?.says).toEndWith("is not there yet: serve creates it");
      expect([leader, writtenMs]).toEqual([null, null]);
      expect(await readdir(folder)).toEqual([]);
    });
  });

  test("one in use answers, and names its leader", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "x.db");
      await using stack = new AsyncDisposableStack();
      const store = await openStore(`sqlite:${path}`, { ...question, runtime });
      stack.defer(() => store.close());
      expect((await look(path)).leader).toBeNull();
      const taken = await store.lock.acquire({
        name: "hedge/spindle/lockname/hedgerow",
        writer: "10.0.0.1:8080",
        expectedToken: null,
        leaseMs: 2_000,
        minAgeMs: 0,
      });
      if (taken.kind !== "acquired") throw new Error("nobody held it");
      const { findings, leader, writtenMs } = await checkStore(
        { ...question, leaseMs: 2_000, spec: `sqlite:${path}` },
        runtime,
      );
      expect(findings).toContainEqual({
        check: "lease",
        ok: true,
        says: "2s, as 10.0.0.1:8080 has it",
      });
      const other = await look(path);
      expect(other.findings).toContainEqual({
        check: "lease",
        ok: false,
        says: "30s, but 10.0.0.1:8080, which leads, has 2s: give --lease 2s, the same on all nodes",
      });
      expect(storeOf(findings)?.says).toMatch(/x\.db answers in \d+ ms$/);
      expect(findings.every(({ ok }) => ok)).toBe(true);
      expect(leader).toBe("10.0.0.1:8080");
      expect(writtenMs).toBeGreaterThan(Date.parse("2026-01-01"));
      await store.lock.release("hedge/spindle/lockname/hedgerow", taken.token);
      const released = await look(path);
      expect(released.leader).toBeNull();
      expect(released.findings.map(({ check }) => check)).not.toContain("lease");
    });
  });

  test("missing tables are no failure, and are not made", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "x.db");
      await (await openStore(`sqlite:${path}`, { ...question, runtime })).close();
      const spec = `sqlite:${path}`;
      const other = { ...question, logTable: "another", spec };
      for (let i = 0; i < 2; i++) {
        const { findings } = await checkStore(other, runtime);
        expect(storeOf(findings)?.says).toEndWith("has no another yet: serve creates it");
      }
    });
  });

  test("a file of another kind and a missing folder are told with the mend", async () => {
    await inFolder(async (folder) => {
      const path = join(folder, "text.db");
      await writeFile(path, "no database at all, and long enough to be one".repeat(40));
      const foreign = storeOf((await look(path)).findings);
      expect(foreign?.ok).toBe(false);
      expect(foreign?.says).toContain("is not a SQLite database: name another file");
      const missing = storeOf((await look(join(folder, "none", "x.db"))).findings);
      expect(missing?.ok).toBe(false);
      expect(missing?.says).toContain("a directory that this user may write");
      expect(storeOf((await look(folder)).findings)).toEqual({
        check: "store",
        ok: false,
        says: `${folder} is a directory: name a file`,
      });
    });
  });

  test("a folder that may not be written is told", async () => {
    if (process.getuid?.() === 0) {
      console.log("skipped: root may write every folder");
      return;
    }
    await inFolder(async (folder) => {
      await chmod(folder, 0o500);
      const { findings } = await look(join(folder, "x.db"));
      expect(storeOf(findings)?.ok).toBe(false);
      await chmod(folder, 0o700);
    });
  });
});

test("a directory that takes no file is not called missing", async () => {
  if (process.platform !== "linux") {
    console.log("skipped: there is no /proc");
    return;
  }
  const opening = openStore("sqlite:/proc/x.db", {
    lockTable: "locktable",
    logTable: "logtable",
    runtime,
  });
  await expect(opening).rejects.toThrow(
    "SQLite file /proc/x.db: cannot be created in /proc: choose another path",
  );
});

describe("network", () => {
  const listen = () => Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });

  test("a free port is fine, one of another program is told with its flag", async () => {
    using busy = listen();
    const address = `127.0.0.1:${busy.port}`;
    expect(checkHttpPort("127.0.0.1:0", null).ok).toBe(true);
    expect(checkHttpPort(address, null)).toEqual({
      check: "http port",
      ok: false,
      says: `${address} is in use by another program: stop it, or choose another --http-addr`,
    });
    expect(checkGrpcPort(address, null).says).toEndWith("choose another --grpc-addr");
    expect((await checkPeerPort(address, null)).says).toEndWith("choose another --peer-addr");
    expect((await checkPeerPort("127.0.0.1:0", null)).ok).toBe(true);
  });

  test("an address that is not this machine's, or nobody's, is told", async () => {
    expect(checkHttpPort("192.0.2.1:0", null).says).toEndWith("choose another --http-addr");
    expect((await checkPeerPort("no.such.host.invalid:1", null)).ok).toBe(false);
  });

  test("what is no peer's address is told, and nothing else is left out for it", async () => {
    const said = await checkPeers(new Set(["who knows"]), clock);
    expect(said).toMatchObject([{ check: "peer", ok: false }]);
    expect(said[0]?.says).toStartWith("who knows is no address of a node: see who wrote it");
  });

  test("each peer is dialled", async () => {
    using up = listen();
    const [first, second] = await checkPeers(
      new Set([`127.0.0.1:${up.port}`, `127.0.0.1:${freePorts(1)}`].sort()),
      clock,
    );
    const findings = [first, second].sort((a, b) => Number(b?.ok) - Number(a?.ok));
    expect(findings[0]?.says).toBe(`127.0.0.1:${up.port} takes connections`);
    expect(findings[1]?.says).toContain("takes no connection: see whether it runs");
    expect(await checkPeers(new Set(), clock)).toEqual([
      { check: "peers", ok: true, says: "no other node is known" },
    ]);
  });
});

describe("the command", () => {
  test("prints a line for each check, or JSON, and ends with 1 if one failed", async () => {
    await inFolder(async (folder) => {
      const port = freePorts(2);
      const argv = [
        "doctor",
        ...["--store", `sqlite:${join(folder, "x.db")}`],
        ...["--http-addr", `127.0.0.1:${port}`, "--peer-addr", `127.0.0.1:${port + 1}`],
      ];
      const good = await cli(argv);
      expect(good.code).toBe(0);
      expect(good.stdout.trimEnd().split("\n")).toHaveLength(7);
      for (const line of good.stdout.trimEnd().split("\n")) expect(line).toStartWith("ok  ");

      const bad = await cli([...argv, "--join", `127.0.0.1:${port + 1}`, "--json"]);
      expect(bad.code).toBe(1);
      const findings = JSON.parse(bad.stdout) as Finding[];
      expect(findings.filter(({ ok }) => !ok).map(({ check }) => check)).toEqual(["peer"]);
    });
  });
});
