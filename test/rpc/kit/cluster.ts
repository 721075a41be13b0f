import {
  createAuthority,
  issueCertificate,
  type KeyAndCertificate,
} from "../../../src/rpc/certificates.ts";
import type { TlsMaterial } from "../../../src/rpc/tls.ts";

const DAY_MS = 86_400_000;

/** A cluster's authority, and certificates under it. */
export class TestCluster {
  readonly authority: KeyAndCertificate = createAuthority(validity());

  member(name: string, lifetime = validity()): TlsMaterial {
    const issued = issueCertificate(this.authority, `hedgerow://${name}/1`, lifetime);
    return { ...issued, ca: [this.authority.cert] };
  }
}

export function validity(fromMs = -3_600_000, toMs = DAY_MS) {
  return { notBeforeMs: Date.now() + fromMs, notAfterMs: Date.now() + toMs };
}
