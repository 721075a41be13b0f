import type { KeyAndCertificate } from "./certificates.ts";
import { NODE_DNS_NAME } from "./certificates.ts";

/** What a node shows to its peers, and whom it trusts. All PEM. */
export interface TlsMaterial extends KeyAndCertificate {
  /** Authorities whose certificates are accepted. */
  readonly ca: readonly string[];
}

/** Paths of PEM files that somebody else keeps: cert-manager, an operator, a secret of Kubernetes. */
export interface TlsFiles {
  /** This node's certificate for the DNS name `hedgerow`, as server and as client; its chain may follow. */
  readonly cert: string;
  readonly key: string;
  /** The authorities whose certificates are accepted, one or more. */
  readonly ca: string;
}

/** What a node shows to its peers, kept valid until `close`. */
export interface Credentials {
  /** null: plain text. */
  readonly current: () => TlsMaterial | null;
  /** Calls `listener` with each certificate after the first; again within a minute if it throws. */
  onRenewed(listener: (material: TlsMaterial) => void): void;
  /** Reads the authorities now and, if whom to trust or who signs has changed, renews the certificate. */
  reload(): Promise<void>;
  /** `reload` whose failure is logged. */
  refresh(): Promise<void>;
  /** Stops renewing. Idempotent. */
  close(): void;
}

/** Of the peer listener: whoever has no certificate of the authorities is refused at the handshake. */
export function serverTls({ key, cert, ca }: TlsMaterial): Bun.TLSOptions {
  return { key, cert, ca: [...ca], requestCert: true, rejectUnauthorized: true };
}

/** Of calls to peers, whose certificates name `hedgerow`, whatever their address. */
export function clientTls({ key, cert, ca }: TlsMaterial): Bun.TLSOptions {
  return { key, cert, ca: [...ca], serverName: NODE_DNS_NAME, rejectUnauthorized: true };
}
