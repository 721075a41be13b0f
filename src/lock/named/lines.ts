import { HedgerowError, messageOf } from "../../errors.ts";
import type { Logger } from "../../observe/logger.ts";
import type { Clock, Timer } from "../../runtime/runtime.ts";
import { checkName } from "../../store/limits.ts";
import type { LeaderDirectory } from "../directory.ts";
import type { Leadership } from "../lease.ts";
import { namedRowName } from "../row-name.ts";
import { Line, type Place } from "./line.ts";

/** Milliseconds that one whose turn it is has to come, before the next is told too. */
export const TURN_MS = 500;
/** How often those who wait say so, in milliseconds. */
export const REFRESH_MS = 5_000;
/** Who has not said so for this many milliseconds waits no longer; a line of nobody is forgotten after as long. */
const FORGET_MS = 3 * REFRESH_MS;
/** Of all locks together; more wait without a place. */
const MAX_PLACES = 100_000;

/** Whoever has a lock. */
export interface Holder {
  /** Address of its member. */
  readonly member: string;
  readonly token: number;
}

export interface LinesOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directory: LeaderDirectory;
  readonly leadership: Leadership;
  /** Address of this node. */
  readonly self: string;
  /** Tells a member that it is its turn; gives whether it waits still. Takes TURN_MS at most. */
  readonly tell: (name: string, place: Place, freed: number) => Promise<boolean>;
  /** Tells a holder who is next. Takes TURN_MS at most. */
  readonly tellHolder: (name: string, holder: Holder, next: Place) => Promise<void>;
}

/**
 * The waiting lines of all named locks, kept by the leader in memory. They are hints: the database decides who
 * holds a lock. A line does not outlive its leader's token; those who wait tell the next leader since when.
 */
export class Lines {
  readonly #lines = new Map<string, Line>();
  readonly #timers = new Map<Line, Timer>();
  /** Of the lease under which the lines were formed. */
  #token = 0;
  #places = 0;
  #sweptAt = 0;

  constructor(private readonly options: LinesOptions) {}

  /** Takes a place or keeps it: how many stand before it. Throws `not_leader`, `overloaded`. */
  serveAwait(request: {
    readonly name: string;
    readonly contender: string;
    readonly member: string;
    readonly waitedMs: number;
  }): { ahead: number } {
    const { name, contender, member, waitedMs } = request;
    checkName(contender, "contender");
    checkName(member, "member");
    this.#serve(name);
    const now = this.options.clock.now();
    this.#sweep(now);
    const line = this.#lines.get(name) ?? new Line();
    const before = line.length;
    const ahead = line.enter({ contender, member, since: now - waitedMs }, now);
    this.#places += line.length - before;
    if (this.#places > MAX_PLACES && line.length > before) {
      this.#drop(line, contender);
      throw new HedgerowError(
        "overloaded",
        `${MAX_PLACES} wait for locks already: try again later`,
      );
    }
    this.#lines.set(name, line);
    this.#settle(name, line);
    return { ahead };
  }

  /** Gives a place up: the lock was taken under `token`, or with 0 is not wanted any more. */
  serveLeave(request: {
    readonly name: string;
    readonly contender: string;
    readonly token: bigint;
    readonly member: string;
  }): Record<string, never> {
    const { name, contender, token, member } = request;
    this.#serve(name);
    const line = this.#lines.get(name);
    if (line === undefined) return {};
    const hadTurn = this.#drop(line, contender) === "told";
    line.take(Number(token), member);
    // Whose turn it was has not taken it: the next need not wait until that shows.
    if (hadTurn && line.freed !== null) this.#advance(name, line);
    this.#settle(name, line);
    return {};
  }

  /** The lock was given up: tells the first in its line, unless the holder does that itself. */
  serveReleased(request: {
    readonly name: string;
    readonly token: bigint;
    readonly told: string;
  }): Record<string, never> {
    const { name, token, told } = request;
    this.#serve(name);
    const line = this.#lines.get(name);
    if (line === undefined) return {};
    const news = line.release(Number(token), told);
    if (news === "untold") this.#advance(name, line);
    else if (news === "told") this.#await(name, line);
    this.#settle(name, line);
    return {};
  }

  /** Nobody is told anything any more. */
  close(): void {
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.#lines.clear();
    this.#places = 0;
  }

  /** Only as the leader. Lines of an earlier lease are over. */
  #serve(name: string): void {
    namedRowName(name);
    const { leadership, directory, self } = this.options;
    const claim = leadership.claim();
    if (claim === null) {
      const { leader } = directory;
      const elsewhere = leader !== null && leader.address !== self ? leader : undefined;
      throw new HedgerowError("not_leader", "lock: this node does not lead", { leader: elsewhere });
    }
    if (claim.token !== this.#token) this.close();
    this.#token = claim.token;
  }

  /** Tells the next in the line, and, should that one not come, the one after it. */
  #advance(name: string, line: Line): void {
    this.#timers.get(line)?.cancel();
    this.#timers.delete(line);
    if (this.#lines.get(name) !== line || this.options.leadership.claim() === null) return;
    const { freed } = line;
    const place = line.next();
    if (freed === null || place === null) return;
    this.#await(name, line);
    void this.#tell(name, line, place, freed);
  }

  /** Gives whose turn it is the time to come. */
  #await(name: string, line: Line): void {
    const timer = this.options.clock.schedule(TURN_MS, () => this.#advance(name, line));
    this.#timers.set(line, timer);
  }

  async #tell(name: string, line: Line, place: Place, freed: number): Promise<void> {
    const { tell, logger } = this.options;
    const { contender, member } = place;
    const waits = await tell(name, place, freed).catch((error: unknown) => {
      logger.debug("turn not told", { name, member, error: messageOf(error) });
      return false;
    });
    if (waits || this.#lines.get(name) !== line) return;
    const hadTurn = this.#drop(line, contender) === "told";
    if (hadTurn && line.freed === freed) this.#advance(name, line);
    this.#settle(name, line);
  }

  #drop(line: Line, contender: string): "absent" | "waiting" | "told" {
    const was = line.leave(contender);
    if (was !== "absent") this.#places--;
    return was;
  }

  /** Ends the timer of a line in which nobody has the turn, and lets the holder know who is next. */
  #settle(name: string, line: Line): void {
    if (line.freed === null || line.length === 0) {
      this.#timers.get(line)?.cancel();
      this.#timers.delete(line);
    }
    const news = line.news();
    if (news === null) return;
    const { tellHolder, logger } = this.options;
    tellHolder(name, news, news.next).catch((error: unknown) =>
      logger.debug("holder not told who is next", { name, error: messageOf(error) }),
    );
  }

  #sweep(now: number): void {
    if (now - this.#sweptAt < REFRESH_MS) return;
    this.#sweptAt = now;
    for (const [name, line] of this.#lines) {
      this.#places -= line.forget(now - FORGET_MS);
      this.#settle(name, line);
      if (line.length === 0 && line.seenAt < now - FORGET_MS) this.#lines.delete(name);
    }
  }
}
