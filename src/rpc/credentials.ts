import { messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { CallOptions, Clock, Timer } from "../runtime/runtime.ts";
import type { LogStore } from "../store/ports.ts";
import { type Authorities, loadAuthorities } from "./authority.ts";
import { issueCertificate } from "./certificates.ts";
import type { TlsMaterial } from "./tls.ts";

const HOUR_MS = 3_600_000;
const DEFAULT_VALIDITY_MS = 24 * HOUR_MS;
/** How far a certificate reaches back, for peers whose clocks are behind. */
const SKEW_MS = HOUR_MS;
/** The share of its life after which a certificate is renewed. */
const RENEW_AFTER = 2 / 3;
/** The certificate's age is looked at so often, because a machine that slept overslept its timers too. */
const CHECK_INTERVAL_MS = 60_000;
/** The store is asked for new authorities so often. */
const RELOAD_INTERVAL_MS = 5 * 60_000;
const RELOAD_TIMEOUT_MS = 10_000;

export interface CredentialsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly log: LogStore;
  /** `host:port` of this node's peer listener; with the incarnation it stands in the certificate. */
  readonly address: string;
  readonly incarnation: number;
  /** Told of each certificate after the first. If it throws, it is told again within a minute. */
  readonly onRenewed: (material: TlsMaterial) => void;
  /** Milliseconds that a certificate is valid from its making. Default 24 hours. */
  readonly validityMs?: number;
}

/** A node's certificate under the cluster's own authority, kept valid until `close`. */
export class Credentials {
  #authorities: Authorities;
  #material: TlsMaterial;
  /** When it was made, in milliseconds since the epoch. */
  #issuedAtMs = 0;
  #reloadedAt: number;
  #timer: Timer | null = null;
  #unannounced = false;
  #closed = false;

  /** Reads the authorities, making the first where there is none, and issues the first certificate. */
  static async obtain(options: CredentialsOptions, call: CallOptions = {}): Promise<Credentials> {
    const { log, clock, address } = options;
    return new Credentials(options, await loadAuthorities(log, clock, address, call));
  }

  private constructor(
    private readonly options: CredentialsOptions,
    authorities: Authorities,
  ) {
    this.#authorities = authorities;
    this.#reloadedAt = options.clock.now();
    this.#material = this.#issue();
    this.#schedule();
  }

  readonly current = (): TlsMaterial => this.#material;

  /** Reads the authorities again and, if they changed, renews the certificate under the newest. */
  async reload(call: CallOptions = {}): Promise<void> {
    const { log, clock, address } = this.options;
    const authorities = await loadAuthorities(log, clock, address, call);
    this.#reloadedAt = clock.now();
    const before = this.#authorities.trusted.join();
    this.#authorities = authorities;
    if (authorities.trusted.join() !== before) this.#renew();
  }

  /** Stops renewing. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = this.options.clock.schedule(CHECK_INTERVAL_MS, () => void this.#check());
  }

  async #check(): Promise<void> {
    const { clock, logger } = this.options;
    if (clock.now() - this.#reloadedAt >= RELOAD_INTERVAL_MS) {
      await this.reload({ timeoutMs: RELOAD_TIMEOUT_MS }).catch((error: unknown) =>
        logger.warn("authorities not readable, those known stay in use", {
          error: messageOf(error),
        }),
      );
    }
    if (this.#closed) return;
    if (this.#due()) this.#renew();
    else if (this.#unannounced) this.#announce();
    this.#schedule();
  }

  #due(): boolean {
    const { clock, validityMs = DEFAULT_VALIDITY_MS } = this.options;
    const ageMs = clock.wallMicros() / 1e3 - this.#issuedAtMs;
    return ageMs >= validityMs * RENEW_AFTER || ageMs < -SKEW_MS; // or the wall clock was set back
  }

  #renew(): void {
    if (this.#closed) return;
    this.#material = this.#issue();
    this.#announce();
  }

  #announce(): void {
    try {
      this.options.onRenewed(this.#material);
      this.#unannounced = false;
    } catch (error) {
      this.#unannounced = true;
      this.options.logger.error("new certificate not in use yet", { error: messageOf(error) });
    }
  }

  #issue(): TlsMaterial {
    const { clock, address, incarnation, validityMs = DEFAULT_VALIDITY_MS } = this.options;
    this.#issuedAtMs = clock.wallMicros() / 1e3;
    const validity = {
      notBeforeMs: this.#issuedAtMs - SKEW_MS,
      notAfterMs: this.#issuedAtMs + validityMs,
    };
    const { newest, trusted } = this.#authorities;
    const issued = issueCertificate(newest, `hedgerow://${address}/${incarnation}`, validity);
    return { ...issued, ca: trusted };
  }
}
