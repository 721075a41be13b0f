import { HedgerowError } from "../errors.ts";
import type { Clock } from "../runtime/runtime.ts";

/** Commits that are remembered, and polls that may wait. */
const REMEMBERED = 4_096;
const MAX_POLLS = 4_096;

/** What a node knows of the leader's commits: all of this token's up to `since`. */
export interface SeenCommits {
  readonly token: number;
  readonly since: number;
}

export interface CommitsAnswer extends SeenCommits {
  /** Keys asked for that were written after what the node knew; all of them where that cannot be told. */
  readonly keys: readonly string[];
}

interface Poll {
  readonly keys: readonly string[];
  /** Its keys in the commit that is being told. */
  readonly hits: string[];
  readonly answer: (keys: readonly string[]) => void;
  readonly fail: (error: HedgerowError) => void;
}

/** The keys that the leader wrote last, counted under its token, and the polls of those that watch some. */
export class RecentCommits {
  readonly #ring: string[] = [];
  #token = 0;
  #count = 0;
  /** From here on all commits of this token were counted. */
  #first = 0;
  readonly #pollsByKey = new Map<string, Set<Poll>>();
  readonly #polls = new Set<Poll>();

  constructor(private readonly clock: Clock) {}

  /** Entries under this token were written, or may have been. */
  add(token: number, entries: readonly { readonly key: string }[]): void {
    this.#turnTo(token);
    for (const { key } of entries) this.#ring[this.#count++ % REMEMBERED] = key;
    if (this.#polls.size === 0) return;
    const hit = new Set<Poll>();
    for (const { key } of entries) {
      for (const poll of this.#pollsByKey.get(key) ?? []) {
        poll.hits.push(key);
        hit.add(poll);
      }
    }
    for (const poll of hit) poll.answer(poll.hits);
  }

  /** Answers once one of the keys is written, at the latest after `waitMs`; at once if it was already. */
  next(
    token: number,
    keys: readonly string[],
    seen: SeenCommits,
    waitMs: number,
    signal?: AbortSignal,
  ): Promise<CommitsAnswer> {
    this.#turnTo(token);
    const missed = this.#missed(keys, seen);
    if (missed.length > 0) return Promise.resolve(this.#answer(missed));
    if (this.#polls.size >= MAX_POLLS) {
      const message = "watch: too many nodes wait already: it is tried again";
      return Promise.reject(new HedgerowError("overloaded", message, { retryDelayMs: 1_000 }));
    }
    return new Promise((resolve, reject) => {
      const abort = () => poll.answer([]);
      const end = () => {
        timer.cancel();
        signal?.removeEventListener("abort", abort);
        this.#leave(poll);
      };
      const poll: Poll = {
        keys,
        hits: [],
        answer: (written) => {
          end();
          resolve(this.#answer(written));
        },
        fail: (error) => {
          end();
          reject(error);
        },
      };
      const timer = this.clock.schedule(waitMs, abort);
      signal?.addEventListener("abort", abort, { once: true });
      this.#join(poll);
      if (signal?.aborted) abort();
    });
  }

  /** Whoever waits has to ask elsewhere. */
  end(error: HedgerowError): void {
    for (const poll of [...this.#polls]) poll.fail(error);
  }

  /** What was counted before says nothing of what is written under another token. */
  #turnTo(token: number): void {
    if (token === this.#token) return;
    this.#token = token;
    this.#first = ++this.#count;
    for (const poll of [...this.#polls]) poll.answer(poll.keys);
  }

  #missed(keys: readonly string[], { token, since }: SeenCommits): readonly string[] {
    const untold = token !== this.#token || since < this.#first || since > this.#count;
    if (untold || this.#count - since > REMEMBERED) return keys;
    if (since === this.#count) return [];
    const asked = new Set(keys);
    const missed = new Set<string>();
    for (let i = since; i < this.#count; i++) {
      const key = this.#ring[i % REMEMBERED] as string;
      if (asked.has(key)) missed.add(key);
    }
    return [...missed];
  }

  #answer(keys: readonly string[]): CommitsAnswer {
    return { keys, token: this.#token, since: this.#count };
  }

  #join(poll: Poll): void {
    this.#polls.add(poll);
    for (const key of poll.keys) {
      const polls = this.#pollsByKey.get(key);
      if (polls === undefined) this.#pollsByKey.set(key, new Set([poll]));
      else polls.add(poll);
    }
  }

  #leave(poll: Poll): void {
    this.#polls.delete(poll);
    for (const key of poll.keys) {
      const polls = this.#pollsByKey.get(key);
      polls?.delete(poll);
      if (polls?.size === 0) this.#pollsByKey.delete(key);
    }
  }
}
