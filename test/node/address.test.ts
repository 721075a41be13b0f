import { expect, test } from "bun:test";
import { isAddress, resolvePeerAddress, splitAddress } from "../../src/node/address.ts";

test("host and port are told apart, IPv6 in brackets", () => {
  expect(splitAddress("10.0.0.1:8080")).toEqual({ host: "10.0.0.1", port: 8080 });
  expect(splitAddress("[::1]:8080")).toEqual({ host: "::1", port: 8080 });
  expect(splitAddress(":8080")).toEqual({ host: "", port: 8080 });
  for (const wrong of ["", "8080", "host", "host:", "host:x", "::1:8080", "h:70000", "[::1]8080"]) {
    expect(() => splitAddress(wrong)).toThrow(/give host:port/);
  }
});

test("a port alone, and nothing, resolve to an address that others can reach", async () => {
  const resolved = await resolvePeerAddress(":8085");
  expect(resolved.port).toBe(8085);
  expect(resolved.host).not.toBe("0.0.0.0");
  expect(resolved.address).toBe(
    resolved.host.includes(":") ? `[${resolved.host}]:8085` : `${resolved.host}:8085`,
  );
  expect((await resolvePeerAddress("")).port).toBe(8080);
});

test("port 0 picks a free one, which can be bound", async () => {
  const { address, host, port } = await resolvePeerAddress("127.0.0.1:0");
  expect(address).toBe(`127.0.0.1:${port}`);
  const server = Bun.serve({ hostname: host, port, fetch: () => new Response() });
  await server.stop(true);
});

test("C9: an address that nobody can reach or resolve is an error that says how to mend it", async () => {
  await expect(resolvePeerAddress("0.0.0.0:8080")).rejects.toThrow(/nobody can reach/);
  await expect(resolvePeerAddress("no-such-host.invalid:1")).rejects.toThrow(/cannot be resolved/);
});

test("what can be asked is told from what merely looks like an address", () => {
  for (const right of ["10.0.0.1:8080", "host:1", "host-1.a.example:65535", "[::1]:8080"]) {
    expect(isAddress(right)).toBe(true);
  }
  for (const wrong of [
    "",
    ":8080",
    "host",
    "a b:1",
    "host:1/path",
    "host:70000",
    "[:8080",
    "a@b:1",
  ]) {
    expect(isAddress(wrong)).toBe(false);
  }
});
