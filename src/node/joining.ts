import { HedgerowError } from "../errors.ts";
import type { Gossip } from "../members/gossip.ts";
import type { Logger } from "../observe/logger.ts";
import { backoffMs, type Runtime, type Timer } from "../runtime/runtime.ts";

/** Bound of each call, in milliseconds. */
const CALL_TIMEOUT_MS = 2_000;
/** Pauses between two questions to an address that does not answer, doubled each time, in milliseconds. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
/** The same for one that answered: a name may come to stand for nodes beyond a partition. */
const ANSWERED_PAUSE_MS = 600_000;
/** Addresses that a node keeps to join through. */
const MAX_SEEDS = 256;

export interface JoiningOptions {
  readonly gossip: Pick<Gossip, "members" | "sync">;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Of this node. */
  readonly address: string;
  /** This node's settings turned out not to be the cluster's. */
  readonly onFatal: (error: HedgerowError) => void;
}

/** How a node meets others through addresses that it was given, and meets them again. */
export class Joining {
  /** Addresses that are asked again, each by its timer. */
  readonly #seeds = new Map<string, Timer>();
  #met = false;
  #stopped = false;

  constructor(private readonly options: JoiningOptions) {}

  /**
   * Asks all of these addresses, and those that are silent again in the background, with longer and longer pauses.
   * Throws `wrong_cluster` and `invalid_argument`; that nobody answers is no error.
   */
  async join(addresses: readonly string[]): Promise<void> {
    const { address: self, logger } = this.options;
    const seeds = [...new Set(addresses)].filter((address) => address !== self);
    if (new Set([...seeds, ...this.#seeds.keys()]).size > MAX_SEEDS) {
      throw new HedgerowError("too_large", `join: give at most ${MAX_SEEDS} addresses`);
    }
    const failures = await Promise.all(seeds.map((seed) => this.meet(seed)));
    if (this.#stopped) return;
    for (const [i, seed] of seeds.entries()) this.#keep(seed, failures[i] === null ? 0 : 1);
    const silent = seeds.filter((_, i) => failures[i] !== null);
    if (silent.length === 0) return;
    const others = "not joined through these yet: asked again in the background";
    const first = failures.find((failure) => failure !== null);
    const fields = { seeds: silent.join(), error: first?.message };
    if (this.#isAlone()) logger.warn(others, fields);
    else logger.info(others, fields);
  }

  /** Joins through one node: null, or why it did not. Throws what asking again would not mend. */
  async meet(seed: string): Promise<HedgerowError | null> {
    try {
      await this.options.gossip.sync(seed, CALL_TIMEOUT_MS);
      this.#met = true;
      return null;
    } catch (thrown) {
      const error = HedgerowError.from(thrown);
      if (isFinal(error)) throw error;
      // Nobody there is usual: a node that ended. Somebody who does not speak with this node is not.
      const spoken = error.code === "outcome_unknown" || error.code === "other_cluster";
      const mend = "see that all nodes have the same --store, --label and --tls";
      const fields = { seed, error: error.message };
      if (spoken) this.options.logger.warn(`not joined: ${mend}`, fields);
      else this.options.logger.debug("not joined through", fields);
      return error;
    }
  }

  /** Throws `unavailable` while this node was given others to join and has met none. */
  check(): void {
    if (this.#met || this.#seeds.size === 0 || !this.#isAlone()) return;
    const seeds = [...this.#seeds.keys()].join();
    throw new HedgerowError("unavailable", `not joined yet: no answer from ${seeds}`);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#seeds.values()) timer.cancel();
  }

  /** `failures` in a row; 0: it answered, or is a member. */
  #keep(seed: string, failures: number): void {
    const { clock, random } = this.options.runtime;
    const pauseMs =
      failures === 0
        ? backoffMs(random, 0, ANSWERED_PAUSE_MS, ANSWERED_PAUSE_MS)
        : backoffMs(random, failures - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    this.#seeds.get(seed)?.cancel();
    const timer = clock.schedule(pauseMs, () => void this.#askAgain(seed, failures));
    this.#seeds.set(seed, timer);
  }

  async #askAgain(seed: string, failures: number): Promise<void> {
    const { gossip, logger, onFatal } = this.options;
    if (gossip.members().some(({ address }) => address === seed)) return this.#keep(seed, 0);
    const wasAlone = this.#isAlone();
    try {
      await gossip.sync(seed, CALL_TIMEOUT_MS);
      this.#met = true;
      if (wasAlone) logger.info("joined", { through: seed });
      if (!this.#stopped) this.#keep(seed, 0);
    } catch (thrown) {
      if (this.#stopped) return;
      const error = HedgerowError.from(thrown);
      logger.debug("not joined through", { seed, error: error.message });
      if (isFinal(error)) onFatal(error);
      else this.#keep(seed, failures + 1);
    }
  }

  #isAlone(): boolean {
    return this.options.gossip.members().length < 2;
  }
}

/** Another lease, a name that is taken: asking again mends nothing. */
function isFinal({ code }: HedgerowError): boolean {
  return code === "wrong_cluster" || code === "invalid_argument";
}
