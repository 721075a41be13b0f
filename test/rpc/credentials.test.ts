import { expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { AUTHORITY_KEY } from "../../src/rpc/authority.ts";
import { openCredentials } from "../../src/rpc/credentials.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { createAuthority } from "../../src/rpc/certificates.ts";
import { systemRuntime } from "../../src/runtime/system.ts";
import { MemoryDatabase } from "../../src/store/memory/database.ts";
import type { LogStore } from "../../src/store/ports.ts";

const runtime = systemRuntime();
const DAY_MS = 86_400_000;

function database(): () => LogStore {
  const memory = new MemoryDatabase(runtime.clock);
  return () => memory.connect().log as LogStore;
}

async function open(log: LogStore, address: string, validityMs?: number) {
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

test("the newest two authorities are trusted, the newest signs", async () => {
  const connect = database();
  const validity = { notBeforeMs: Date.now() - 1_000, notAfterMs: Date.now() + DAY_MS };
  const authorities = ["2", "9", "10"].map((id) => ({ id, ...createAuthority(validity) }));
  for (const { id, key, cert } of authorities) {
    const value = JSON.stringify({ key, cert });
    await connect().append([{ key: AUTHORITY_KEY, id, value, leader: "10.0.0.9:1" }], null);
  }
  const { own, material, credentials } = await open(connect(), "10.0.0.1:8080");
  expect(material.ca).toEqual([authorities[2]?.cert ?? "", authorities[1]?.cert ?? ""]);
  expect(own.verify(new X509Certificate(material.ca[0] ?? "").publicKey)).toBe(true);
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
