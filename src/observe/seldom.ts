import type { Clock } from "../runtime/runtime.ts";
import type { LogFields, Logger } from "./logger.ts";

/** Milliseconds. */
const SILENCE_MS = 10_000;

/**
 * Warns of trouble that comes again and again, such as a full disk: of each kind once in ten seconds, with how many
 * `times` it came since it was last warned of. What lies between is told at debug.
 */
export class SeldomWarner {
  readonly #kinds = new Map<string, { saidAt: number; times: number }>();

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** `kind` is one of few. */
  warn(kind: string, message: string, fields: LogFields): void {
    const now = this.clock.now();
    const known = this.#kinds.get(kind);
    const times = (known?.times ?? 0) + 1;
    if (known !== undefined && now - known.saidAt < SILENCE_MS) {
      known.times = times;
      this.logger.debug(message, fields);
      return;
    }
    this.#kinds.set(kind, { saidAt: now, times: 0 });
    this.logger.warn(message, times === 1 ? fields : { ...fields, times });
  }
}
