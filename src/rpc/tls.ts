import type { KeyAndCertificate } from "./certificates.ts";
import { NODE_DNS_NAME } from "./certificates.ts";

/** What a node shows to its peers, and whom it trusts. All PEM. */
export interface TlsMaterial extends KeyAndCertificate {
  /** Authorities whose certificates are accepted. */
  readonly ca: readonly string[];
}

/** Of the peer listener: whoever has no certificate of the authorities is refused at the handshake. */
export function serverTls({ key, cert, ca }: TlsMaterial): Bun.TLSOptions {
  return { key, cert, ca: [...ca], requestCert: true, rejectUnauthorized: true };
}

/** Of calls to peers, whose certificates name `hedgerow`, whatever their address. */
export function clientTls({ key, cert, ca }: TlsMaterial): Bun.TLSOptions {
  return { key, cert, ca: [...ca], serverName: NODE_DNS_NAME, rejectUnauthorized: true };
}
