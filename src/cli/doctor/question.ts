import type { Finding } from "./finding.ts";

export interface StoreQuestion {
  /** As `--store` has it. */
  readonly spec: string;
  readonly lockTable: string;
  /** Empty: no log. */
  readonly logTable: string;
  readonly lockName: string;
  /** Of this node, where the lock's row does not tell its leader's, in milliseconds. */
  readonly leaseMs: number;
}

export interface StoreReport {
  readonly findings: readonly Finding[];
  /** Milliseconds since the epoch at which the file was last written; null where there is none. */
  readonly writtenMs: number | null;
  /** Address of the node that the lock's row names, if its lease is not over. */
  readonly leader: string | null;
}
