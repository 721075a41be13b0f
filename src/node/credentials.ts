import { HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { createAuthority, issueCertificate, type KeyAndCertificate } from "../rpc/certificates.ts";
import type { TlsMaterial } from "../rpc/tls.ts";
import type { Runtime, Timer } from "../runtime/runtime.ts";
import type { LogStore } from "../store/ports.ts";

/** Where the cluster's authorities lie in the log table, one entry each; the greatest id signs. */
export const AUTHORITY_KEY = "__hedgerow/ca";
const FIRST_ID = "1";
/** The newest two are trusted, so that one can follow the other without a gap. */
const TRUSTED = 2;

const HOUR_MS = 3_600_000;
/** Nodes whose wall clocks are behind by less accept a new certificate at once. */
const CLOCK_SKEW_MS = HOUR_MS;
export const DEFAULT_NODE_VALIDITY_MS = 24 * HOUR_MS;
const AUTHORITY_VALIDITY_MS = 20 * 365 * 24 * HOUR_MS;
const RETRY_MS = 60_000;
const STORE_TIMEOUT_MS = 10_000;

export interface CredentialsOptions {
  readonly tls: "auto" | "none";
  /** Where the authority lies. Not needed without TLS. */
  readonly log: LogStore | null;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly address: string;
  /** Milliseconds. Default 24 hours; renewed after two thirds. */
  readonly validityMs?: number | undefined;
}

/** What a node shows to its peers, kept fresh. */
export interface Credentials {
  /** null: plain text. */
  readonly current: () => TlsMaterial | null;
  /** Calls `listener` with each new material. */
  onRenewed(listener: (material: TlsMaterial) => void): void;
  close(): void;
}

/** Finds or founds the cluster's authority, and has it sign this node's certificate. */
export async function openCredentials(options: CredentialsOptions): Promise<Credentials> {
  if (options.tls === "none") return { current: () => null, onRenewed() {}, close() {} };
  const { log } = options;
  if (log === null) {
    throw new HedgerowError(
      "not_supported",
      "tls auto needs a log table: name one, or use tls none",
    );
  }
  const certificates = new RenewedCertificates(options, log);
  await certificates.renew();
  return certificates;
}

class RenewedCertificates implements Credentials {
  #material: TlsMaterial | null = null;
  #listener: (material: TlsMaterial) => void = () => {};
  #timer: Timer | null = null;
  #closed = false;
  readonly current = (): TlsMaterial | null => this.#material;

  constructor(
    private readonly options: CredentialsOptions,
    private readonly log: LogStore,
  ) {}

  onRenewed(listener: (material: TlsMaterial) => void): void {
    this.#listener = listener;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async renew(): Promise<void> {
    const { runtime, address, validityMs = DEFAULT_NODE_VALIDITY_MS } = this.options;
    const authorities = await readAuthorities(this.log, runtime, address);
    const [signer] = authorities as [KeyAndCertificate];
    const nowMs = Math.floor(runtime.clock.wallMicros() / 1e3);
    const own = issueCertificate(signer, `hedgerow://${address}/${nowMs}`, {
      notBeforeMs: nowMs - CLOCK_SKEW_MS,
      notAfterMs: nowMs + validityMs,
    });
    if (this.#closed) return;
    this.#material = { ...own, ca: authorities.map(({ cert }) => cert) };
    this.#listener(this.#material);
    this.#schedule((validityMs * 2) / 3);
  }

  #schedule(ms: number): void {
    this.#timer = this.options.runtime.clock.schedule(ms, () => {
      this.renew().catch((error: unknown) => {
        this.options.logger.warn("certificate not renewed yet", { error: messageOf(error) });
        if (!this.#closed) this.#schedule(RETRY_MS);
      });
    });
  }
}

/** The authorities to trust, the signing one first. Whoever finds none inserts it; one insert wins. */
async function readAuthorities(
  log: LogStore,
  runtime: Runtime,
  address: string,
): Promise<KeyAndCertificate[]> {
  const call = { timeoutMs: STORE_TIMEOUT_MS };
  let entries = await log.read(AUTHORITY_KEY, -1, call);
  if (entries.length === 0) {
    const nowMs = Math.floor(runtime.clock.wallMicros() / 1e3);
    const authority = createAuthority({
      notBeforeMs: nowMs - CLOCK_SKEW_MS,
      notAfterMs: nowMs + AUTHORITY_VALIDITY_MS,
    });
    const value = JSON.stringify(authority);
    await log.append([{ key: AUTHORITY_KEY, id: FIRST_ID, value, leader: address }], null, call);
    entries = await log.read(AUTHORITY_KEY, -1, call);
  }
  const newest = [...entries].sort((a, b) => Number(b.id) - Number(a.id)).slice(0, TRUSTED);
  if (newest.length === 0) throw unreadable();
  return newest.map(({ value }) => parseAuthority(value));
}

function parseAuthority(value: string): KeyAndCertificate {
  try {
    const { key, cert } = JSON.parse(value) as KeyAndCertificate;
    if (typeof key === "string" && typeof cert === "string") return { key, cert };
  } catch (cause) {
    throw unreadable(cause);
  }
  throw unreadable();
}

function unreadable(cause?: unknown): HedgerowError {
  const message = `the cluster's authority cannot be read: delete the rows with key ${AUTHORITY_KEY} and restart all nodes`;
  return new HedgerowError("store_failed", message, { cause });
}
