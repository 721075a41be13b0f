import { HedgerowError } from "../errors.ts";
import { ClaimService } from "../gen/hedgerow/v1/claims_pb.ts";
import type { LeaderDirectory } from "../lock/directory.ts";
import { type Attempt, throughLeader } from "../lock/through-leader.ts";
import type { Logger } from "../observe/logger.ts";
import type { Peers } from "../rpc/port.ts";
import { Operation, sleep } from "../runtime/operation.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { CommitsAnswer, SeenCommits } from "./recent-commits.ts";

/** The leader answers after this at the latest, and is asked again. */
const WAIT_MS = 10_000;
/** What the way there and back may take beside. */
const MARGIN_MS = 2_000;
const ATTEMPT_TIMEOUT_MS = WAIT_MS + MARGIN_MS;
/** Between attempts while nobody answers; a change of leader ends a pause. */
const PAUSE_MS = { first: 50, longest: 2_000 };
/** Questions follow each other no faster: what is written meanwhile is told together. */
const GAP_MS = 2;
/** What one question may hold: keys, and units of UTF-16, of which each takes three bytes at most. */
export const MAX_KEYS = 10_000;
const MAX_LENGTH = 1024 * 1024;

export interface FeedOptions {
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  readonly self: string;
  /** Asks this node itself, while it leads. */
  readonly ownCommits: (
    keys: readonly string[],
    seen: SeenCommits,
    waitMs: number,
    signal: AbortSignal,
  ) => Promise<CommitsAnswer>;
  readonly onDoubt: () => void;
  readonly shutdown: AbortSignal;
}

/**
 * Hears from the leader which of some keys were written: one question for all of them, which the leader
 * answers when there is something to tell. None while nothing is watched.
 */
export class CommitFeed {
  readonly #wakes = new Map<string, () => void>();
  #length = 0;
  #seen: SeenCommits = { token: 0, since: 0 };
  /** Ends the question under way. */
  #asking: AbortController | null = null;
  #running = false;
  #renewing = false;

  constructor(private readonly options: FeedOptions) {
    options.shutdown.addEventListener("abort", () => this.#asking?.abort(), { once: true });
  }

  /** Calls `wake` when the key may have been written, until the result is called. Throws `overloaded`. */
  watch(key: string, wake: () => void): () => void {
    if (this.#wakes.size >= MAX_KEYS || this.#length + key.length > MAX_LENGTH) {
      throw new HedgerowError(
        "overloaded",
        "watch: this node watches too many keys already: ask another",
      );
    }
    this.#wakes.set(key, wake);
    this.#length += key.length;
    this.#renew();
    return () => {
      this.#wakes.delete(key);
      this.#length -= key.length;
      if (this.#wakes.size === 0) this.#asking?.abort();
    };
  }

  /** Asks anew with the keys that have come, once for all of this turn. */
  #renew(): void {
    if (this.#renewing) return;
    this.#renewing = true;
    this.options.runtime.clock.schedule(0, () => {
      this.#renewing = false;
      this.#asking?.abort();
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    const { runtime, shutdown } = this.options;
    const { clock } = runtime;
    this.#running = true;
    while (this.#wakes.size > 0 && !shutdown.aborted) {
      const askedAt = clock.now();
      const asking = new AbortController();
      this.#asking = asking;
      try {
        this.#take(await this.#ask(asking.signal));
        const gapMs = GAP_MS - (clock.now() - askedAt);
        if (gapMs > 0) await sleep(clock, gapMs);
      } catch (error) {
        await this.#failed(error, asking.signal);
      }
      asking.abort(); // also what a former leader was asked, who may still be waiting
    }
    this.#running = false;
  }

  #take(answer: CommitsAnswer): void {
    this.#seen = answer;
    for (const key of answer.keys) this.#wakes.get(key)?.();
  }

  /** Nobody answered; or there are other keys to ask for, and then it goes on at once. */
  async #failed(thrown: unknown, asking: AbortSignal): Promise<void> {
    if (asking.aborted) return;
    const { logger, runtime } = this.options;
    const { code, message: error } = HedgerowError.from(thrown);
    logger.debug("the leader does not tell of its commits: reading now and then", { code, error });
    await sleep(runtime.clock, PAUSE_MS.longest, asking).catch(() => {}); // other keys end the pause
  }

  async #ask(signal: AbortSignal): Promise<CommitsAnswer> {
    const { runtime, shutdown } = this.options;
    using operation = new Operation(
      runtime.clock,
      "watch",
      { signal },
      ATTEMPT_TIMEOUT_MS,
      shutdown,
    );
    const keys = [...this.#wakes.keys()];
    const rules = {
      ...this.options,
      repeatable: true,
      attempts: Infinity,
      pauseMs: PAUSE_MS,
      attemptTimeoutMs: ATTEMPT_TIMEOUT_MS,
    };
    return await throughLeader(operation, rules, (leader, attempt) =>
      leader.address === this.options.self
        ? this.options.ownCommits(keys, this.#seen, WAIT_MS, signal)
        : this.#askPeer(leader.address, keys, attempt),
    );
  }

  async #askPeer(
    address: string,
    keys: readonly string[],
    attempt: Attempt,
  ): Promise<CommitsAnswer> {
    const { token, since } = this.#seen;
    const request = {
      keys: [...keys],
      token: BigInt(token),
      since: BigInt(since),
      waitMs: Math.max(0, Math.min(WAIT_MS, Math.floor(attempt.timeoutMs) - MARGIN_MS)),
    };
    const { awaitCommits } = ClaimService.method;
    const reply = await this.options.peers.unary(address, awaitCommits, request, attempt);
    return { keys: reply.keys, token: Number(reply.token), since: Number(reply.since) };
  }
}
