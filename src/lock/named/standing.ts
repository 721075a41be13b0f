import { HedgerowError } from "../../errors.ts";
import type { Logger } from "../../observe/logger.ts";
import type { Clock, Timer } from "../../runtime/runtime.ts";
import type { LeaderDirectory } from "../directory.ts";
import type { LineClient, Position } from "./line-client.ts";
import { REFRESH_MS } from "./lines.ts";

export interface StandingOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: LeaderDirectory;
  readonly client: LineClient;
  readonly name: string;
  /** Names the one that waits. */
  readonly contender: string;
  /** Since when, a time of the clock's `now`. */
  readonly since: number;
  /**
   * Told how many stand before it: at first, whenever it asked again, and 0 while no leader says anything.
   * `anew`: this leader said so for the first time.
   */
  readonly onPosition: (ahead: number, anew: boolean) => void;
}

/** One place in the leader's line, kept across changes of the leader. */
export class Standing {
  readonly #left = new AbortController();
  #leader = 0;
  #asked = 0;
  #timer: Timer | null = null;
  readonly #unlisten: () => void;

  constructor(private readonly options: StandingOptions) {
    const { directory } = options;
    this.#unlisten = directory.onChange(() => {
      if (directory.leader !== null && directory.leader.token !== this.#leader) this.ask();
    });
    this.ask();
  }

  /** Asks for the position now, and at the refresh interval from then on. */
  ask(): void {
    this.#timer?.cancel();
    void this.#ask(++this.#asked);
  }

  /** Gives the place up, in the background: the lock is taken under `token`, or with 0 not wanted. Idempotent. */
  leave(token: number): void {
    if (this.#left.signal.aborted) return;
    const { client, name, contender } = this.options;
    this.#left.abort(new HedgerowError("canceled", "it waits no longer"));
    this.#timer?.cancel();
    this.#unlisten();
    void client.leave(name, contender, token);
  }

  async #ask(asked: number): Promise<void> {
    const position = await this.#enter();
    if (this.#left.signal.aborted || asked !== this.#asked) return;
    const { clock, onPosition } = this.options;
    const anew = position !== null && position.leader !== this.#leader;
    if (position !== null) this.#leader = position.leader;
    this.#timer = clock.schedule(REFRESH_MS, () => this.ask());
    onPosition(position?.ahead ?? 0, anew);
  }

  async #enter(): Promise<Position | null> {
    const { client, clock, logger, name, contender, since } = this.options;
    try {
      return await client.enter(name, contender, clock.now() - since, this.#left.signal);
    } catch (thrown) {
      const { code, message: error } = HedgerowError.from(thrown);
      if (code !== "canceled") logger.debug("no place in a line", { name, code, error });
      return null;
    }
  }
}
