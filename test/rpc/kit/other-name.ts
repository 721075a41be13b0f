import { createPrivateKey, sign, X509Certificate } from "node:crypto";
import { NODE_DNS_NAME } from "../../../src/rpc/certificates.ts";
import { bits, sequence } from "../../../src/rpc/der.ts";
import type { TlsMaterial } from "../../../src/rpc/tls.ts";
import type { TestCluster } from "./cluster.ts";

/** A certificate of the cluster's authority for another DNS name, as long as that of nodes. */
export function otherName(cluster: TestCluster, name = "hedgehog"): TlsMaterial {
  const material = cluster.member("x");
  const { raw } = new X509Certificate(material.cert);
  const [toBeSigned, algorithm] = elements(raw.subarray(contentAt(raw)));
  if (toBeSigned === undefined || algorithm === undefined) throw new Error("no certificate");
  const tag = Buffer.from([0x82, NODE_DNS_NAME.length]);
  const at = toBeSigned.indexOf(Buffer.concat([tag, Buffer.from(NODE_DNS_NAME)]));
  toBeSigned.write(name, at + tag.length);
  const signature = sign("sha256", toBeSigned, createPrivateKey(cluster.authority.key));
  const der = Buffer.from(sequence(toBeSigned, algorithm, bits(signature)));
  const pem = `-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`;
  return { ...material, cert: pem };
}

/** The elements of DER that lie one behind the other, copied. */
function elements(der: Buffer): Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0; at < der.length;) {
    const rest = der.subarray(at);
    const end = contentAt(rest) + lengthOf(rest);
    all.push(Buffer.from(rest.subarray(0, end)));
    at += end;
  }
  return all;
}

function contentAt(der: Buffer): number {
  const first = der[1] ?? 0;
  return 2 + (first < 0x80 ? 0 : first & 0x7f);
}

function lengthOf(der: Buffer): number {
  const first = der[1] ?? 0;
  return first < 0x80 ? first : der.readUIntBE(2, first & 0x7f);
}
