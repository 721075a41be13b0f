import { expect, test } from "bun:test";
import { advertisedIp, type Interfaces, unreachable } from "../../src/node/advertise.ts";

const own = (...addresses: string[]) => addresses.map((address) => ({ address, internal: false }));
const LO = [{ address: "127.0.0.1", internal: true }];

test("the first address that others can reach, IPv4 before IPv6, bridges to own containers last", () => {
  const cases: [Interfaces, string | null][] = [
    [{ lo: LO, eth0: own("10.0.0.7", "fd00::7"), eth1: own("10.1.0.7") }, "10.0.0.7"],
    [{ lo: LO, eth0: own("fe80::1", "fd00::7"), eth1: own("192.168.1.2") }, "192.168.1.2"],
    [{ lo: LO, eth0: own("fe80::1", "2001:db8::7") }, "2001:db8::7"],
    [{ docker0: own("172.17.0.1"), eth0: own("10.0.0.7") }, "10.0.0.7"],
    [{ "br-1a2b": own("172.18.0.1"), eth0: own("fd00::7") }, "fd00::7"],
    [{ docker0: own("172.17.0.1"), eth0: own("169.254.3.4") }, "172.17.0.1"],
    [{ lo: LO, eth0: own("169.254.3.4", "fe80::1"), wlan0: undefined }, null],
    [{ lo: LO }, null],
  ];
  for (const [interfaces, expected] of cases) expect(advertisedIp(interfaces)).toBe(expected);
});

test("addresses that nobody reaches are told from those that somebody may", () => {
  for (const ip of ["0.0.0.0", "::", "169.254.1.1", "fe80::1", "224.0.0.1", "255.255.255.255"]) {
    expect([ip, unreachable(ip)]).toEqual([ip, expect.any(String)]);
  }
  for (const ip of ["10.0.0.1", "127.0.0.1", "::1", "fd00::1", "100.64.0.1", "8.8.8.8"]) {
    expect([ip, unreachable(ip)]).toEqual([ip, null]);
  }
});
