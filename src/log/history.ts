import type { MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import type {
  AwaitCommitsRequest,
  AwaitCommitsResponseSchema,
} from "../gen/hedgerow/v1/claims_pb.ts";
import type { ServedCall } from "../rpc/port.ts";
import type { LogStore } from "../store/ports.ts";
import { CommitFeed, MAX_KEYS } from "./commit-feed.ts";
import type { CommitListener } from "./committer.ts";
import { Expiry } from "./expiry.ts";
import type { LogOptions } from "./options.ts";
import { RecentCommits } from "./recent-commits.ts";
import { Watches } from "./watches.ts";

/** A poll waits no longer, whatever it asks for, in milliseconds. */
const MAX_WAIT_MS = 10_000;
/** What is watched is read at least this often, so that nothing can be removed unread. */
const MAX_POLL_MS = 30_000;

/** What becomes of versions once they are written: those who watch hear of them, and old ones go. */
export class History {
  readonly watches: Watches;
  readonly #recent: RecentCommits;
  readonly #expiry: Expiry | null;

  constructor(private readonly options: LogOptions & { readonly store: LogStore }) {
    const { runtime, directory, leadership, retention } = options;
    this.#recent = new RecentCommits(runtime.clock);
    const feed = new CommitFeed({
      ...options,
      ownCommits: async (...asked) => this.#recent.next(this.#token(), ...asked),
    });
    const pollMs = Math.min(options.pollMs, MAX_POLL_MS);
    this.watches = new Watches({ ...options, feed, pollMs, removal: retention !== null });
    this.#expiry = retention && new Expiry({ ...options, retention });
    directory.onChange(() => {
      const claim = leadership.claim();
      if (claim === null) this.#recent.end(notLeader());
      else this.#expiry?.lead(claim.token);
    });
  }

  readonly onCommit: CommitListener = ({ token }, entries, outcomes) => {
    this.#recent.add(token, entries);
    if (outcomes !== null) this.#expiry?.written(entries, outcomes);
  };

  async serveAwaitCommits(
    { keys, since, token, waitMs }: AwaitCommitsRequest,
    call: ServedCall,
  ): Promise<MessageInitShape<typeof AwaitCommitsResponseSchema>> {
    if (keys.length > MAX_KEYS) {
      throw new HedgerowError(
        "invalid_argument",
        `watch: more than ${MAX_KEYS} keys in a question`,
      );
    }
    const seen = { token: Number(token), since: Number(since) };
    const ms = Math.min(waitMs, MAX_WAIT_MS, call.timeoutMs);
    const answer = await this.#recent.next(this.#token(), keys, seen, ms, call.signal);
    return {
      keys: [...answer.keys],
      token: BigInt(answer.token),
      since: BigInt(answer.since),
    };
  }

  #token(): number {
    const claim = this.options.leadership.claim();
    if (claim === null) throw notLeader();
    return claim.token;
  }
}

function notLeader(): HedgerowError {
  return new HedgerowError("not_leader", "watch: this node does not lead");
}
