import { expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import fc from "fast-check";
import { createAuthority, issueCertificate } from "../../src/rpc/certificates.ts";
import { integer, oid, sequence, time, utf8 } from "../../src/rpc/der.ts";
import { validity } from "./kit/cluster.ts";

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

test("DER is as X.690 and RFC 5280 give it", () => {
  expect(hex(oid("1.2.840.10045.4.3.2"))).toBe("06082a8648ce3d040302");
  expect(hex(oid("2.5.29.17"))).toBe("0603551d11");
  expect(hex(integer(Uint8Array.of(0)))).toBe("020100");
  expect(hex(integer(Uint8Array.of(0, 0, 0x7f)))).toBe("02017f");
  expect(hex(integer(Uint8Array.of(0x80)))).toBe("02020080");
  expect(hex(sequence(utf8("x".repeat(200))).subarray(0, 6))).toBe("3081cb0c81c8");
  expect(hex(utf8("x".repeat(300)).subarray(0, 4))).toBe("0c82012c");
  expect(hex(time(Date.UTC(2049, 11, 31, 23, 59, 59)))).toBe(
    `170d${hex(Buffer.from("491231235959Z"))}`,
  );
  expect(hex(time(Date.UTC(2050, 0, 1)))).toBe(`180f${hex(Buffer.from("20500101000000Z"))}`);
});

test("an authority signs nodes, itself, and nothing else's authority", () => {
  const authority = createAuthority(validity());
  const parsed = new X509Certificate(authority.cert);
  expect(parsed.ca).toBe(true);
  expect(parsed.verify(parsed.publicKey)).toBe(true);
  expect(parsed.checkPrivateKey(createPrivateKey(authority.key))).toBe(true);
  const other = new X509Certificate(createAuthority(validity()).cert);
  expect(other.subject).not.toBe(parsed.subject);
  expect(other.verify(parsed.publicKey)).toBe(false);
});

test("a node's certificate names it, serves both sides, and holds for as long as it says", () => {
  const authority = createAuthority(validity());
  const parsed = new X509Certificate(authority.cert);
  const lifetime = { notBeforeMs: Date.UTC(2026, 0, 1), notAfterMs: Date.UTC(2026, 0, 2) };
  const node = issueCertificate(authority, "hedgerow://[::1]:8080/5", lifetime);
  const own = new X509Certificate(node.cert);
  expect(own.ca).toBe(false);
  expect(own.checkIssued(parsed)).toBe(true);
  expect(own.verify(parsed.publicKey)).toBe(true);
  expect(own.checkPrivateKey(createPrivateKey(node.key))).toBe(true);
  expect(own.subjectAltName).toBe("DNS:hedgerow, URI:hedgerow://[::1]:8080/5");
  expect(own.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
  expect(Date.parse(own.validFrom)).toBe(lifetime.notBeforeMs);
  expect(Date.parse(own.validTo)).toBe(lifetime.notAfterMs);
});

test("certificates are well-formed whatever their random parts and names are", () => {
  const authority = createAuthority(validity());
  const issuer = new X509Certificate(authority.cert);
  const name = fc.stringMatching(/^[a-z0-9.:-]{1,200}$/);
  fc.assert(
    fc.property(name, (host) => {
      const { cert } = issueCertificate(authority, `hedgerow://${host}/1`, validity());
      const parsed = new X509Certificate(cert);
      expect(parsed.verify(issuer.publicKey)).toBe(true);
      expect(parsed.serialNumber.length).toBeLessThanOrEqual(34);
    }),
    { numRuns: 200 },
  );
});
