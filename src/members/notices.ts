import { create } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import { type Notice as NoticeMessage, NoticeSchema } from "../gen/hedgerow/v1/gossip_pb.ts";
import { MAX_NAME_BYTES } from "../store/limits.ts";
import { NewsQueue } from "./news-queue.ts";

/** What a member says of itself beside its record, and others pass on; of one member the last one counts. */
export interface Notice {
  /** Of the member. */
  readonly name: string;
  /** The greater one is the later: microseconds of the member's wall clock, or more. */
  readonly stamp: number;
  readonly body: Uint8Array;
}

/** Bytes of a notice at most. */
export const MAX_NOTICE_BYTES = 64;

/** The last notice of each member, and which are still to be passed on. Pure state; lists need not agree on it. */
export class Notices {
  readonly #known = new Map<string, Notice>();
  readonly #news = new NewsQueue();
  #digest = 0;
  #fresh: Notice[] = [];
  /** The last one that was given out. */
  #stamp = 0;

  /** `self` is this node's name. */
  constructor(
    private readonly self: string,
    private readonly wallMicros: () => number,
  ) {}

  get hasNews(): boolean {
    return this.#news.size > 0;
  }

  /** Equal for who knows the same. */
  get digest(): number {
    return this.#digest >>> 0;
  }

  all(): Notice[] {
    return [...this.#known.values()];
  }

  /** Later than all of this node's before, also than those that a former start of it left. */
  stamp(): number {
    this.#stamp = Math.max(this.#stamp + 1, this.wallMicros());
    return this.#stamp;
  }

  /** This node says something else from now on. */
  say(body: Uint8Array): void {
    if (body.length > MAX_NOTICE_BYTES) {
      throw new HedgerowError("too_large", `a notice of more than ${MAX_NOTICE_BYTES} bytes`);
    }
    this.#keep({ name: this.self, stamp: this.stamp(), body }, true);
  }

  /** Whoever held this node for gone has forgotten what it said. */
  repeat(): void {
    if (this.#known.has(this.self)) this.#news.add(this.self);
  }

  /** Takes one in, to be passed on if `isNews`. One in this node's name that it has not said is outbid. */
  hear(said: Notice, isNews: boolean): void {
    const known = this.#known.get(said.name);
    if (said.name === this.self) this.#hearOfSelf(said, known);
    else if (known === undefined || said.stamp > known.stamp) {
      const kept = { ...said, body: said.body.slice() }; // without the message that it came in
      this.#keep(kept, isNews);
      this.#fresh.push(kept);
    }
  }

  /** What was heard since the last call. */
  takeFresh(): Notice[] {
    if (this.#fresh.length === 0) return this.#fresh;
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }

  /** Those to put on the next message; after `limit` times each is told no more. */
  news(max: number, limit: number): Notice[] {
    return this.#news.size === 0 ? [] : this.#find(this.#news.take(max, limit));
  }

  /** Those to answer with: not counted as told, and without what has just been `heard`. */
  answers(max: number, heard: readonly Notice[]): Notice[] {
    return this.#news.size === 0 ? [] : laterThan(this.#find(this.#news.peek(max)), heard);
  }

  /** Those of which `theirs` has none, or an earlier one. */
  lackingIn(theirs: readonly Notice[]): Notice[] {
    return laterThan(this.all(), theirs);
  }

  /** The member has gone. */
  forget(name: string): void {
    if (name === this.self) return;
    this.#digest ^= hashOf(this.#known.get(name));
    this.#known.delete(name);
    this.#news.delete(name);
  }

  #hearOfSelf(said: Notice, own: Notice | undefined): void {
    const isOwn = said.stamp === own?.stamp && Buffer.compare(said.body, own.body) === 0;
    if (isOwn || said.stamp < (own?.stamp ?? 0)) return;
    this.#stamp = Math.max(this.#stamp, said.stamp);
    if (own !== undefined) this.say(own.body);
  }

  #keep(notice: Notice, isNews: boolean): void {
    this.#digest ^= hashOf(this.#known.get(notice.name)) ^ hashOf(notice);
    this.#known.set(notice.name, notice);
    if (isNews) this.#news.add(notice.name);
    else this.#news.delete(notice.name);
  }

  #find(names: readonly string[]): Notice[] {
    return names.map((name) => this.#known.get(name) as Notice);
  }
}

function hashOf(notice: Notice | undefined): number {
  return notice === undefined ? 0 : Bun.hash.xxHash32(`${notice.name}\n${notice.stamp}`);
}

function laterThan(notices: readonly Notice[], theirs: readonly Notice[]): Notice[] {
  const known = new Map(theirs.map(({ name, stamp }) => [name, stamp]));
  return notices.filter(({ name, stamp }) => stamp > (known.get(name) ?? 0));
}

export function noticeToWire({ name, stamp, body }: Notice): NoticeMessage {
  return create(NoticeSchema, { name, stamp: BigInt(stamp), body });
}

/** From the wire. Throws `invalid_argument` for one that no node makes. */
export function noticeFromWire({ name, stamp, body }: NoticeMessage): Notice {
  const sound =
    name !== "" &&
    name.length <= MAX_NAME_BYTES &&
    stamp > 0n &&
    stamp <= BigInt(Number.MAX_SAFE_INTEGER) &&
    body.length <= MAX_NOTICE_BYTES;
  if (!sound) throw new HedgerowError("invalid_argument", "gossip: a notice is malformed");
  return { name, stamp: Number(stamp), body };
}
