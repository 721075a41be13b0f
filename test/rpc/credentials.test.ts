import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { AUTHORITY_KEY, type AuthorityLog } from "../../src/rpc/authority.ts";
import { openCredentials } from "../../src/rpc/credentials.ts";
import { HedgerowError } from "../../src/errors.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { createAuthority } from "../../src/rpc/certificates.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { MemoryDatabase } from "../../src/store/memory/database.ts";
import type { TlsMaterial } from "../../src/rpc/tls.ts";
import { validity } from "./kit/cluster.ts";
import { ManualClock } from "./kit/clock.ts";
import { RecordingLogger } from "./kit/nodes.ts";

const runtime = systemRuntime();
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

function database(clock = runtime.clock): () => AuthorityLog {
  const memory = new MemoryDatabase(clock);
  return () => memory.connect().log as AuthorityLog;
}

async function open(log: AuthorityLog, address: string, validityMs?: number) {
  const options = { tls: "auto", log, runtime, logger: silentLogger, address, validityMs } as const;
  const credentials = await openCredentials(options);
  const material = credentials.current();
  if (material === null) throw new Error("no material");
  return { credentials, material, own: new X509Certificate(material.cert) };
}

test("nodes that start at once share one authority, and each is signed by it", async () => {
  const connect = database();
  const addresses = ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"];
  const nodes = await Promise.all(addresses.map((address) => open(connect(), address)));
  const [authority = ""] = nodes[0]?.material.ca ?? [];
  const ca = new X509Certificate(authority);
  expect(ca.ca).toBe(true);
  for (const [i, { own, material, credentials }] of nodes.entries()) {
    expect(material.ca).toEqual([authority]);
    expect(own.verify(ca.publicKey)).toBe(true);
    expect(own.checkHost("hedgerow")).toBe("hedgerow");
    expect(own.subjectAltName).toContain(`URI:hedgerow://${addresses[i]}/`);
    expect(own.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
    credentials.close();
  }
  expect((await connect().read(AUTHORITY_KEY, -1)).length).toBe(1);
});

test("a certificate is short-lived, and valid for clocks that are an hour behind", async () => {
  const { own, credentials } = await open(database()(), "10.0.0.1:8080");
  const now = Date.now();
  expect(Date.parse(own.validTo) - now).toBeLessThanOrEqual(DAY_MS);
  expect(Date.parse(own.validTo) - now).toBeGreaterThan(DAY_MS - 60_000);
  expect(now - Date.parse(own.validFrom)).toBeGreaterThan(3_590_000);
  credentials.close();
});

/** A new authority of the cluster. */
async function rotate(log: AuthorityLog, id: string): Promise<string> {
  const { key, cert } = createAuthority(validity(-HOUR_MS, DAY_MS));
  const value = JSON.stringify({ key, cert });
  await log.append([{ key: AUTHORITY_KEY, id, value, leader: "10.0.0.9:1" }], null);
  return cert;
}

test("the newest two authorities are trusted, and while the newest is young the other signs", async () => {
  const connect = database();
  await rotate(connect(), "2");
  const older = await rotate(connect(), "9");
  const newest = await rotate(connect(), "10");
  const { own, material, credentials } = await open(connect(), "10.0.0.1:8080");
  expect(material.ca).toEqual([newest, older]);
  expect(own.verify(new X509Certificate(older).publicKey)).toBe(true);
  credentials.close();
});

test("a certificate is renewed before it ends", async () => {
  const { credentials, own } = await open(database()(), "10.0.0.1:8080", 300);
  const renewed = await new Promise<string>((resolve) => {
    credentials.onRenewed(({ cert }) => resolve(cert));
  });
  expect(new X509Certificate(renewed).serialNumber).not.toBe(own.serialNumber);
  expect(credentials.current()?.cert).toBe(renewed);
  credentials.close();
});

test("an authority that cannot be read is an error that names the mend; none needs no store", async () => {
  const connect = database();
  const spoilt = { key: AUTHORITY_KEY, id: "1", value: "{}", leader: "10.0.0.9:1" };
  await connect().append([spoilt], null);
  await expect(open(connect(), "10.0.0.1:8080")).rejects.toThrow(/delete the rows/);
  const options = { log: null, runtime, logger: silentLogger, address: "10.0.0.1:8080" };
  expect((await openCredentials({ ...options, tls: "none" })).current()).toBeNull();
  await expect(openCredentials({ ...options, tls: "auto" })).rejects.toThrow(/log table/);
});

/** Credentials on a clock that is moved by hand. */
async function onManualClock(
  log: AuthorityLog,
  { clock = new ManualClock(), address = "10.0.0.1:8080" } = {},
) {
  const logger = new RecordingLogger();
  const options = { tls: "auto", log, logger, address } as const;
  const credentials = await openCredentials({
    ...options,
    incarnation: 77,
    runtime: { clock, random: runtime.random },
  });
  const renewed: TlsMaterial[] = [];
  credentials.onRenewed((material) => void renewed.push(material));
  /** Time passes in steps, so that what a timer started comes to its end. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= MINUTE_MS) {
      clock.pass(Math.min(left, MINUTE_MS));
      await Bun.sleep(0);
    }
  };
  return { credentials, clock, renewed, pass, logger };
}

test("the certificate is renewed after two thirds of its life, under the same name", async () => {
  const { credentials, renewed, pass } = await onManualClock(database()());
  await pass(15.9 * HOUR_MS);
  expect(renewed).toHaveLength(0);
  await pass(0.2 * HOUR_MS);
  expect(renewed).toHaveLength(1);
  expect(credentials.current()).toBe(renewed[0] as TlsMaterial);
  const names = new X509Certificate(renewed[0]?.cert ?? "").subjectAltName;
  expect(names).toBe("DNS:hedgerow, URI:hedgerow://10.0.0.1:8080/77");
  credentials.close();
  await pass(20 * HOUR_MS);
  expect(renewed).toHaveLength(1);
});

test("a machine that slept, or whose clock was set back, has a valid certificate within a minute", async () => {
  const { credentials, clock, renewed, pass } = await onManualClock(database()());
  clock.jumpWall(40 * HOUR_MS);
  await pass(MINUTE_MS);
  expect(renewed).toHaveLength(1);
  clock.jumpWall(-40 * HOUR_MS);
  await pass(MINUTE_MS);
  expect(renewed).toHaveLength(2);
  credentials.close();
});

test("without the store, certificates are renewed under the authorities that are known", async () => {
  const log = database()();
  let away = false;
  const flaky: AuthorityLog = {
    append: (...call) => log.append(...call),
    read: (...call) =>
      away ? Promise.reject(new HedgerowError("unavailable", "away")) : log.read(...call),
  };
  const { credentials, renewed, pass, logger } = await onManualClock(flaky);
  away = true;
  await pass(17 * HOUR_MS);
  expect(renewed).toHaveLength(1);
  expect(logger.lines[0]).toContain("those known stay in use");
  credentials.close();
});

test("a new authority is trusted within minutes, and signs when every node trusts it", async () => {
  const clock = new ManualClock();
  const connect = database(clock);
  const first = await onManualClock(connect(), { clock });
  await first.pass(3 * MINUTE_MS);
  const second = await onManualClock(connect(), { clock, address: "10.0.0.2:8080" });
  const nodes = [first.credentials, second.credentials];
  /** Of each node, whether both take its certificate. */
  const trusted = () =>
    nodes.map(({ current }) => {
      const own = new X509Certificate(current()?.cert ?? "");
      return nodes.every((other) =>
        other.current()?.ca.some((cert) => own.verify(new X509Certificate(cert).publicKey)),
      );
    });
  const next = await rotate(connect(), "2");
  for (let minute = 1; minute <= 18; minute++) {
    await first.pass(MINUTE_MS);
    expect([minute, ...trusted()]).toEqual([minute, true, true]);
    if (minute === 7) {
      for (const { current } of nodes) expect(current()?.ca[0]).toBe(next);
    }
  }
  for (const { current } of nodes) {
    const own = new X509Certificate(current()?.cert ?? "");
    expect(own.verify(new X509Certificate(next).publicKey)).toBe(true);
  }
  for (const node of nodes) node.close();
});

test("a listener that could not take a certificate is given it again", async () => {
  const { credentials, pass, logger } = await onManualClock(database()());
  let attempts = 0;
  credentials.onRenewed(() => {
    attempts++;
    if (attempts < 3) throw new Error("the port was taken meanwhile");
  });
  await pass(16.1 * HOUR_MS);
  expect(attempts).toBe(3);
  expect(logger.lines).toHaveLength(2);
  credentials.close();
});

test("C4: an insert of the first authority whose reply was lost is read back, not made twice", async () => {
  const connect = database();
  const log = connect();
  const losing: AuthorityLog = {
    read: (...call) => log.read(...call),
    append: async (...call) => {
      await log.append(...call);
      throw new HedgerowError("outcome_unknown", "the reply was lost");
    },
  };
  const { material, credentials } = await open(losing, "10.0.0.1:8080");
  const rows = await connect().read(AUTHORITY_KEY, -1);
  expect(rows).toHaveLength(1);
  expect(material.ca).toEqual([JSON.parse(rows[0]?.value ?? "").cert]);
  credentials.close();
});

test("a key that is not its certificate's is no authority", async () => {
  const connect = database();
  const validity = { notBeforeMs: Date.now(), notAfterMs: Date.now() + DAY_MS };
  const value = JSON.stringify({
    key: createAuthority(validity).key,
    cert: createAuthority(validity).cert,
  });
  await connect().append([{ key: AUTHORITY_KEY, id: "1", value, leader: "x:1" }], null);
  await expect(open(connect(), "10.0.0.1:8080")).rejects.toThrow(/no authority/);
});
