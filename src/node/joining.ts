import { HedgerowError } from "../errors.ts";
import type { Gossip } from "../members/gossip.ts";
import type { Logger } from "../observe/logger.ts";
import { distrustedPeer } from "../rpc/errors.ts";
import { backoffMs, type Runtime, type Timer } from "../runtime/runtime.ts";

/** Bound of each call, in milliseconds. */
const CALL_TIMEOUT_MS = 2_000;
/** Pauses between two questions to an address at which no other node answers, doubled each time, in milliseconds. */
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
  /** An address answered. */
  readonly onAnswer: () => void;
  /** This node's settings turned out not to be the cluster's. */
  readonly onFatal: (error: HedgerowError) => void;
}

/** An address to join through, between two questions to it. */
interface Seed {
  readonly timer: Timer;
  /** Nobody answered the last one. */
  readonly silent: boolean;
}

/** How a node meets others through addresses that it was given, and meets them again. */
export class Joining {
  readonly #seeds = new Map<string, Seed>();
  /** Whether it ever met another node. */
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
    this.#checkRoom(seeds);
    const failures = await Promise.all(seeds.map((seed) => this.meet(seed)));
    if (this.#stopped) return;
    this.#checkRoom(seeds); // others may have been given meanwhile
    for (const [i, seed] of seeds.entries()) this.#keep(seed, failures[i] ?? null, 1);
    const silent = seeds.filter((_, i) => failures[i] !== null);
    if (silent.length === 0) return;
    const first = failures.find((failure) => failure !== null);
    const message = "not joined through these yet: asked again in the background";
    const fields = { seeds: silent.join(), error: first?.message };
    if (this.#isAlone()) logger.warn(message, fields);
    else logger.info(message, fields);
  }

  /** Joins through one node: null, or why it did not. Throws what asking again would not mend. */
  async meet(seed: string): Promise<HedgerowError | null> {
    try {
      await this.options.gossip.sync(seed, CALL_TIMEOUT_MS);
    } catch (thrown) {
      const error = HedgerowError.from(thrown);
      if (isFinal(error)) throw error;
      // Nobody there is usual: a node that ended. Somebody who does not speak with this node is not.
      const spoken =
        error.code === "outcome_unknown" ||
        error.code === "other_cluster" ||
        distrustedPeer(error.cause);
      const mend = "see that all nodes have the same --store, --log-table, --label and --tls";
      const fields = { seed, error: error.message };
      if (spoken) this.options.logger.warn(`not joined: ${mend}`, fields);
      else this.options.logger.debug("not joined through", fields);
      return error;
    }
    this.onMembersChange();
    return null;
  }

  /** Addresses that do not answer, while this node has met no other; none: it has joined. */
  get awaited(): string[] {
    if (this.#met || !this.#isAlone()) return [];
    return [...this.#seeds].filter(([, seed]) => seed.silent).map(([address]) => address);
  }

  /** Whom this node has met once, whoever of them asked, it has met. */
  onMembersChange(): void {
    if (!this.#isAlone()) this.#met = true;
  }

  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#seeds.values()) timer.cancel();
  }

  /** Until the next question; `vain` ones in a row, this one included, met no other node. */
  #keep(address: string, failure: HedgerowError | null, vain: number): void {
    const { clock, random } = this.options.runtime;
    // Who is alone after an answer was answered by itself: a name may stand for all nodes.
    const met = failure === null && !this.#isAlone();
    const pauseMs = met
      ? backoffMs(random, 0, ANSWERED_PAUSE_MS, ANSWERED_PAUSE_MS)
      : backoffMs(random, vain - 1, FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
    const ask = () => void this.#askAgain(address, met ? 0 : vain);
    this.#seeds.get(address)?.timer.cancel();
    this.#seeds.set(address, { timer: clock.schedule(pauseMs, ask), silent: failure !== null });
    if (failure === null) this.options.onAnswer();
  }

  async #askAgain(address: string, vain: number): Promise<void> {
    const { gossip, logger, onFatal } = this.options;
    if (gossip.members().some((member) => member.address === address)) {
      return this.#keep(address, null, 0);
    }
    const wasAlone = this.#isAlone();
    let failure: HedgerowError | null = null;
    try {
      await gossip.sync(address, CALL_TIMEOUT_MS);
    } catch (thrown) {
      failure = HedgerowError.from(thrown);
      logger.debug("not joined through", { seed: address, error: failure.message });
    }
    if (this.#stopped) return;
    this.onMembersChange();
    const isAlone = this.#isAlone();
    if (failure === null && wasAlone && !isAlone) logger.info("joined", { through: address });
    if (failure === null || !isFinal(failure)) return this.#keep(address, failure, vain + 1);
    if (isAlone) return onFatal(failure);
    // Others are with this node: it is not the one that must go.
    this.#seeds.delete(address);
    logger.error("not joined, and not asked again", { seed: address, error: failure.message });
  }

  /** Throws `too_large` for more addresses than are kept. */
  #checkRoom(seeds: readonly string[]): void {
    if (new Set([...seeds, ...this.#seeds.keys()]).size <= MAX_SEEDS) return;
    throw new HedgerowError("too_large", `join: give at most ${MAX_SEEDS} addresses`);
  }

  #isAlone(): boolean {
    return this.options.gossip.members().length < 2;
  }
}

/** Another lease, a name that is taken: asking again mends nothing. */
function isFinal({ code }: HedgerowError): boolean {
  return code === "wrong_cluster" || code === "invalid_argument";
}
