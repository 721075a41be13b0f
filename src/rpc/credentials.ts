import { HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { Runtime, Timer } from "../runtime/runtime.ts";
import {
  type Authorities,
  type AuthorityLog,
  loadAuthorities,
  RELOAD_INTERVAL_MS,
} from "./authority.ts";
import { issueCertificate } from "./certificates.ts";
import type { Credentials, TlsFiles, TlsMaterial } from "./tls.ts";

const HOUR_MS = 3_600_000;
const DEFAULT_VALIDITY_MS = 24 * HOUR_MS;
/** How far a certificate reaches back, for peers whose clocks are behind. */
const SKEW_MS = 2 * HOUR_MS;
/** The share of its life after which a certificate is renewed. */
const RENEW_AFTER = 2 / 3;
/** The certificate's age is looked at so often: a machine that slept overslept its timers too. */
const CHECK_INTERVAL_MS = 60_000;
const STORE_TIMEOUT_MS = 10_000;

export interface CredentialsOptions {
  readonly tls: "auto" | "none" | TlsFiles;
  /** Where the authority lies. Not needed without TLS. */
  readonly log: AuthorityLog | null;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** `host:port` of this node's peer listener; with the incarnation it stands in the certificate. */
  readonly address: string;
  /** Default: now, in milliseconds since the epoch. */
  readonly incarnation?: number | undefined;
  /** Milliseconds that a certificate is valid from its making. Default 24 hours. */
  readonly validityMs?: number | undefined;
}

/**
 * Finds or founds the cluster's authority, and issues this node's first certificate under it; or reads the files
 * that somebody else keeps.
 */
export async function openCredentials(options: CredentialsOptions): Promise<Credentials> {
  if (typeof options.tls === "object") {
    const { openFileCredentials } = await import("./file-credentials.ts");
    return openFileCredentials({ ...options, files: options.tls });
  }
  if (options.tls === "none") {
    return {
      current: () => null,
      onRenewed() {},
      reload: async () => {},
      refresh: async () => {},
      close() {},
    };
  }
  if (options.log === null) {
    throw new HedgerowError(
      "not_supported",
      "--tls auto needs a log table: name one, or use --tls files or --tls none",
    );
  }
  const load = loader(options, options.log);
  return new RenewedCertificate(options, load, await load(null));
}

function loader({ runtime, address }: CredentialsOptions, log: AuthorityLog) {
  const call = { timeoutMs: STORE_TIMEOUT_MS };
  return (known: Authorities | null) => loadAuthorities(log, runtime.clock, address, known, call);
}

class RenewedCertificate implements Credentials {
  readonly #incarnation: number;
  readonly #validityMs: number;
  #material: TlsMaterial;
  /** When it was made, in milliseconds since the epoch. */
  #issuedAtMs = 0;
  #reloadedAt: number;
  #listener: (material: TlsMaterial) => void = () => {};
  #unannounced = false;
  #timer: Timer | null = null;
  #closed = false;

  constructor(
    private readonly options: CredentialsOptions,
    private readonly load: (known: Authorities | null) => Promise<Authorities>,
    private authorities: Authorities,
  ) {
    this.#incarnation = options.incarnation ?? Math.floor(this.#wallMs());
    this.#validityMs = options.validityMs ?? DEFAULT_VALIDITY_MS;
    this.#reloadedAt = options.runtime.clock.now();
    this.#material = this.#issue();
    this.#schedule();
  }

  readonly current = (): TlsMaterial => this.#material;

  onRenewed(listener: (material: TlsMaterial) => void): void {
    this.#listener = listener;
  }

  async reload(): Promise<void> {
    this.#reloadedAt = this.options.runtime.clock.now();
    const before = this.authorities;
    const now = await this.load(before);
    this.authorities = now;
    const same =
      now.signer.cert === before.signer.cert && now.trusted.join() === before.trusted.join();
    if (!same) this.#renew();
  }

  async refresh(): Promise<void> {
    await this.reload().catch((error: unknown) =>
      this.options.logger.warn("authorities not readable, those known stay in use", {
        error: messageOf(error),
      }),
    );
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#closed) return;
    const ms = Math.min(CHECK_INTERVAL_MS, this.#validityMs / 10);
    this.#timer = this.options.runtime.clock.schedule(ms, () => void this.#check());
  }

  async #check(): Promise<void> {
    const { runtime } = this.options;
    if (runtime.clock.now() - this.#reloadedAt >= RELOAD_INTERVAL_MS) await this.refresh();
    if (this.#due()) this.#renew();
    else if (this.#unannounced) this.#announce();
    this.#schedule();
  }

  #due(): boolean {
    const ageMs = this.#wallMs() - this.#issuedAtMs;
    return ageMs >= this.#validityMs * RENEW_AFTER || ageMs < -SKEW_MS; // or the wall clock was set back
  }

  #renew(): void {
    if (this.#closed) return;
    this.#material = this.#issue();
    this.#announce();
  }

  #announce(): void {
    if (this.#closed) return;
    try {
      this.#listener(this.#material);
      this.#unannounced = false;
    } catch (error) {
      this.#unannounced = true;
      this.options.logger.error("new certificate not in use yet", { error: messageOf(error) });
    }
  }

  #issue(): TlsMaterial {
    this.#issuedAtMs = this.#wallMs();
    const validity = {
      notBeforeMs: this.#issuedAtMs - SKEW_MS,
      notAfterMs: this.#issuedAtMs + this.#validityMs,
    };
    const { signer, trusted } = this.authorities;
    const uri = `hedgerow://${this.options.address}/${this.#incarnation}`;
    return { ...issueCertificate(signer, uri, validity), ca: trusted };
  }

  #wallMs(): number {
    return this.options.runtime.clock.wallMicros() / 1e3;
  }
}
