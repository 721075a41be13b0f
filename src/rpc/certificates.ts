import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";
import {
  bits,
  boolean,
  type Der,
  explicit,
  implicit,
  integer,
  octets,
  oid,
  sequence,
  set,
  time,
  utf8,
} from "./der.ts";

/** A private key and the certificate of its public half, both as PEM. */
export interface KeyAndCertificate {
  readonly key: string;
  readonly cert: string;
}

export interface Validity {
  /** Milliseconds since the epoch by the wall clock. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The DNS name in every node's certificate; peers are checked against it, not against their address. */
export const NODE_DNS_NAME = "hedgerow";

const ECDSA_WITH_SHA256 = sequence(oid("1.2.840.10045.4.3.2"));
const COMMON_NAME = oid("2.5.4.3");
const SUBJECT_KEY_ID = "2.5.29.14";
const KEY_USAGE = "2.5.29.15";
const SUBJECT_ALT_NAME = "2.5.29.17";
const BASIC_CONSTRAINTS = "2.5.29.19";
const AUTHORITY_KEY_ID = "2.5.29.35";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SERVER_AUTH = oid("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH = oid("1.3.6.1.5.5.7.3.2");

/** A new self-signed authority (P-256) that signs nodes' certificates and nothing beneath them. */
export function createAuthority(validity: Validity): KeyAndCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = commonName(authorityName(publicKey));
  const cert = signed(privateKey, name, name, validity, publicKey, [
    extension(BASIC_CONSTRAINTS, true, sequence(boolean(true), integer(new Uint8Array([0])))),
    extension(KEY_USAGE, true, bits(new Uint8Array([0b0000_0110]), 1)), // signs certificates and CRLs
    extension(SUBJECT_KEY_ID, false, octets(keyIdOf(publicKey))),
  ]);
  return { key: pemOf(privateKey), cert };
}

/** A new key and certificate (P-256) for a node, as server and as client; `uri` says which node. */
export function issueCertificate(
  authority: KeyAndCertificate,
  uri: string,
  validity: Validity,
): KeyAndCertificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const issuer = new X509Certificate(authority.cert).publicKey;
  const cert = signed(
    createPrivateKey(authority.key),
    commonName(authorityName(issuer)),
    commonName(NODE_DNS_NAME),
    validity,
    publicKey,
    [
      extension(BASIC_CONSTRAINTS, true, sequence()),
      extension(KEY_USAGE, true, bits(new Uint8Array([0b1000_0000]), 7)), // digital signatures
      extension(EXTENDED_KEY_USAGE, false, sequence(SERVER_AUTH, CLIENT_AUTH)),
      extension(SUBJECT_ALT_NAME, false, sequence(dnsName(NODE_DNS_NAME), uriName(uri))),
      extension(SUBJECT_KEY_ID, false, octets(keyIdOf(publicKey))),
      extension(AUTHORITY_KEY_ID, false, sequence(implicit(0, keyIdOf(issuer)))),
    ],
  );
  return { key: pemOf(privateKey), cert };
}

/** The common name of an authority with this key: two authorities never share one. */
export function authorityName(publicKey: KeyObject): string {
  return `hedgerow authority ${keyIdOf(publicKey).toString("hex")}`;
}

/** A version 3 certificate (RFC 5280, section 4.1) as PEM. */
function signed(
  signer: KeyObject,
  issuer: Der,
  subject: Der,
  validity: Validity,
  publicKey: KeyObject,
  extensions: Der[],
): string {
  const toBeSigned = sequence(
    explicit(0, integer(new Uint8Array([2]))),
    integer(randomBytes(16)),
    ECDSA_WITH_SHA256,
    issuer,
    sequence(time(validity.notBeforeMs), time(validity.notAfterMs)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    explicit(3, sequence(...extensions)),
  );
  const certificate = sequence(
    toBeSigned,
    ECDSA_WITH_SHA256,
    bits(sign("sha256", toBeSigned, signer)),
  );
  const base64 = Buffer.from(certificate).toString("base64");
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

function extension(id: string, critical: boolean, value: Der): Der {
  return critical
    ? sequence(oid(id), boolean(true), octets(value))
    : sequence(oid(id), octets(value));
}

function commonName(name: string): Der {
  return sequence(set(sequence(COMMON_NAME, utf8(name))));
}

function dnsName(name: string): Der {
  return implicit(2, new TextEncoder().encode(name));
}

function uriName(uri: string): Der {
  return implicit(6, new TextEncoder().encode(uri));
}

function keyIdOf(publicKey: KeyObject): Buffer {
  const spki = publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest().subarray(0, 20);
}

function pemOf(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}
