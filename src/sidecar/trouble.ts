import type { LogFields, Logger } from "../observe/logger.ts";
import type { Clock } from "../runtime/runtime.ts";

/** Milliseconds between two warnings. */
export const WARN_EVERY_MS = 30_000;

/** Tells the operator of a service that fails: at once, and then how often, now and then. */
export class Trouble {
  /** Since the last warning. */
  #failures = 0;
  #warnedAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly about: LogFields,
  ) {}

  failed(problem: string): void {
    this.#failures++;
    const now = this.clock.now();
    if (now - this.#warnedAt < WARN_EVERY_MS) return;
    const fields = { ...this.about, problem, failures: this.#failures };
    this.logger.warn("the service did not take a message", fields);
    this.#warnedAt = now;
    this.#failures = 0;
  }
}
