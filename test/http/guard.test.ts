import { describe, expect, test } from "bun:test";
import { guard, type GuardRules } from "../../src/http/guard.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { appKit } from "./app-kit.ts";

const LOOPBACK: GuardRules = { boundHost: "127.0.0.1", hosts: [], origins: [] };
const PUBLIC: GuardRules = {
  boundHost: "0.0.0.0",
  hosts: ["pod-1"],
  origins: ["https://ui.example.com"],
};

const statusOf = (rules: GuardRules, host: string, origin?: string, site?: string) =>
  guard(rules, { host, origin: origin ?? null, site: site ?? null })?.status ?? 200;

describe("Host", () => {
  test.each([
    "127.0.0.1:9090",
    "127.0.0.1",
    "127.9.9.9:1",
    "localhost:9090",
    "LOCALHOST.:9090",
    "node.localhost:9090",
    "[::1]:9090",
  ])("%s is loopback", (host) => {
    expect(statusOf(LOOPBACK, host)).toBe(200);
  });

  test.each([
    "evil.example.com:9090",
    "localhost.evil.example.com",
    "127.0.0.1.evil.example.com",
    "10.0.0.1:9090",
    "0x7f.1:9090",
    "evil/livez?.localhost",
    "evil.example.com#.localhost",
    "",
    "pod-1:9090",
  ])("%p is not this listener's", (host) => {
    expect(statusOf(LOOPBACK, host)).toBe(421);
  });

  test("the bound address is accepted, others are not", () => {
    const rules = { ...LOOPBACK, boundHost: "10.0.0.7" };
    expect(statusOf(rules, "10.0.0.7:9090")).toBe(200);
    expect(statusOf(rules, "10.0.0.8:9090")).toBe(421);
  });

  test("a listener on all interfaces accepts addresses and listed names, no other name", () => {
    for (const host of ["10.0.0.1:9090", "[fd00::1]:9090", "pod-1:9090", "ui.example.com"]) {
      expect(statusOf(PUBLIC, host)).toBe(200);
    }
    expect(statusOf(PUBLIC, "evil.example.com:9090")).toBe(421);
  });
});

describe("Origin", () => {
  test("no Origin passes: curl and other programs", () => {
    expect(statusOf(LOOPBACK, "127.0.0.1:9090")).toBe(200);
  });

  test("our own pages pass", () => {
    expect(statusOf(LOOPBACK, "localhost:9090", "http://localhost:9090", "same-origin")).toBe(200);
    expect(statusOf(LOOPBACK, "localhost:9090", undefined, "same-origin")).toBe(200);
    expect(statusOf(LOOPBACK, "localhost:9090", undefined, "none")).toBe(200);
  });

  test.each([
    ["https://evil.example.com", "cross-site"],
    ["http://localhost:8000", "same-site"],
    ["http://127.0.0.1:9090", "cross-site"],
    ["null", "cross-site"],
    [undefined, "cross-site"],
    [undefined, "same-site"],
  ])("%p with Sec-Fetch-Site %p is refused", (origin, site) => {
    expect(statusOf(LOOPBACK, "localhost:9090", origin, site)).toBe(403);
  });

  test("listed origins pass, their neighbours do not", () => {
    expect(statusOf(PUBLIC, "10.0.0.1:9090", "https://ui.example.com", "cross-site")).toBe(200);
    expect(statusOf(PUBLIC, "10.0.0.1:9090", "http://ui.example.com", "cross-site")).toBe(403);
    expect(statusOf(PUBLIC, "10.0.0.1:9090", "https://ui.example.com:444")).toBe(403);
  });
});

describe("the app", () => {
  const origin = "https://ui.example.com";
  const listed = { origins: [origin] };

  test("refuses a foreign Host on every route, and does nothing", async () => {
    let puts = 0;
    const { ask } = appKit({ put: async () => ({ id: String(++puts), timestamp: 1 }) });
    for (const path of ["/put", "/livez", "/hedgerow.v1.HedgerowService/Status", "/none"]) {
      const headers = { host: "evil.example.com" };
      const response = await ask(path, { method: "POST", body: "k v", headers });
      expect(response.status).toBe(421);
      expect(await response.text()).toMatch(/^Host evil\.example\.com is not .*\n$/);
    }
    expect(puts).toBe(0);
  });

  test("refuses a Host that is none, and no defect is logged", async () => {
    const { ask, logged } = appKit();
    const response = await ask("/put", { method: "POST", headers: { host: "a/b?.localhost" } });
    expect(response.status).toBe(421);
    expect(logged.filter((line) => line.includes("failed"))).toEqual([]);
  });

  test("refuses a foreign Origin, and does nothing", async () => {
    let puts = 0;
    const { ask } = appKit({ put: async () => ({ id: String(++puts), timestamp: 1 }) }, listed);
    const headers = { origin: "https://evil.example.com" };
    const response = await ask("/put", { method: "POST", body: "k v", headers });
    expect(response.status).toBe(403);
    expect(await response.text()).toContain("--cors-origin");
    expect(response.headers.has("access-control-allow-origin")).toBe(false);
    expect(puts).toBe(0);
  });

  test("answers the preflight of a listed origin with what Connect and gRPC-Web need", async () => {
    const response = await appKit({}, listed).ask("/hedgerow.v1.HedgerowService/Put", {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST" },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
    expect(response.headers.get("access-control-allow-methods")).toContain("POST");
    const allowed = response.headers.get("access-control-allow-headers")?.toLowerCase();
    for (const name of [
      "content-type",
      "connect-protocol-version",
      "connect-timeout-ms",
      "grpc-timeout",
      "x-grpc-web",
      "x-user-agent",
      "authorization",
    ]) {
      expect(allowed).toContain(name);
    }
    expect(Number(response.headers.get("access-control-max-age"))).toBeGreaterThanOrEqual(600);
    expect(response.headers.get("vary")).toBe("Origin");
  });

  test("refuses the preflight of any other origin", async () => {
    const response = await appKit({}, listed).ask("/put", {
      method: "OPTIONS",
      headers: { origin: "https://evil.example.com", "access-control-request-method": "POST" },
    });
    expect(response.status).toBe(403);
  });

  test("lets a listed origin's page read replies and errors", async () => {
    const { ask } = appKit({}, listed);
    for (const path of ["/get", "/none"]) {
      const response = await ask(path, { method: "POST", body: "k", headers: { origin } });
      expect(response.headers.get("access-control-allow-origin")).toBe(origin);
      const exposed = response.headers.get("access-control-expose-headers")?.toLowerCase();
      for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin"]) {
        expect(exposed?.split(", ")).toContain(name);
      }
      expect(response.headers.get("vary")).toContain("Origin");
    }
  });

  test("lets it read that there are too many calls, too", async () => {
    const app = appKit({}, listed, systemClock(), { maxCalls: 0, maxStreams: 1 });
    const response = await app.ask("/get", { method: "POST", body: "k", headers: { origin } });
    expect(response.status).toBe(503);
    expect(response.headers.get("access-control-allow-origin")).toBe(origin);
  });
});
