import { Changes, type TableChange } from "./changes.ts";
import {
  checkTransition,
  isPresent,
  Liveness,
  MAX_INCARNATION,
  MAX_VERSION,
  type MemberRecord,
  type PeerState,
  supersedes,
} from "./member.ts";
import { NewsQueue } from "./news-queue.ts";
import { SortedNames } from "./sorted-names.ts";
import { SuspicionTimes } from "./suspicion-times.ts";
import { type GossipTiming, MAX_MEMBERS, retransmits } from "./timing.ts";

interface Known {
  record: MemberRecord;
  /** Own clock, milliseconds, when the liveness last changed. */
  since: number;
  /** Somebody waited for a suspect as long as it takes: it has only the least time left. */
  readonly confirmed: boolean;
  /** Of what the record says that lists must agree on; 0 for those who are gone. */
  readonly hash: number;
}

/** How a statement came: told as news, in a comparison of lists, or in the list that a newcomer is given. */
export type Source = "news" | "list" | "welcome";

/**
 * Everything that one node knows of the members, itself included. Pure state: it takes `now` and what was
 * heard, and keeps the statements that are still worth passing on.
 */
export class MemberTable {
  readonly #known = new Map<string, Known>();
  readonly #names = new SortedNames();
  readonly #suspects = new Map<string, Known>();
  /** Dead or left, the longest gone first; without this node. */
  readonly #gone = new Set<string>();
  readonly #news = new NewsQueue();
  #self: MemberRecord;
  #digest = 0;
  readonly #suspicions: SuspicionTimes;
  #present: MemberRecord[] | null = null;
  readonly #changes = new Changes();

  constructor(
    self: MemberRecord,
    private readonly timing: GossipTiming,
    now: number,
  ) {
    this.#self = self;
    this.#suspicions = new SuspicionTimes(timing);
    this.#store(self, now);
  }

  get self(): MemberRecord {
    return this.#self;
  }

  /** Names of the members that count, itself included. */
  get names(): SortedNames {
    return this.#names;
  }

  /** Equal for equal lists of members that count; suspicion aside, which passes. */
  get digest(): number {
    return this.#digest >>> 0;
  }

  get hasNews(): boolean {
    return this.#news.size > 0;
  }

  /** Statements that are still to be told. */
  get newsSize(): number {
    return this.#news.size;
  }

  /** Members that are gone and remembered. */
  get goneSize(): number {
    return this.#gone.size;
  }

  /** Whether the newest statement of this member is still to be told. */
  isNews(name: string): boolean {
    return this.#news.has(name);
  }

  /** Members that count, sorted by address. */
  present(): readonly MemberRecord[] {
    this.#present ??= [...this.#names]
      .map((name) => this.find(name) as MemberRecord)
      .sort((a, b) => (a.address < b.address ? -1 : 1));
    return this.#present;
  }

  /** All statements, those about the gone included: for push/pull. */
  all(): MemberRecord[] {
    return [...this.#known.values()].map(({ record }) => record);
  }

  find(name: string): MemberRecord | undefined {
    return this.#known.get(name)?.record;
  }

  /** Whether a member of this name counts. */
  has(name: string): boolean {
    const record = this.find(name);
    return record !== undefined && isPresent(record);
  }

  /** Whether a later process has its address: what is heard from there is that one's word. */
  isFollowed({ address, incarnation }: MemberRecord): boolean {
    return this.#known
      .values()
      .some(
        ({ record }) =>
          record.address === address && record.incarnation > incarnation && isPresent(record),
      );
  }

  /** Takes a statement in; tells whether it was news. One about this node that is wrong is refuted. */
  hear(said: MemberRecord, now: number, source: Source = "news"): boolean {
    if (said.name === this.#self.name) return this.#hearOfSelf(said, now, source);
    const known = this.find(said.name);
    if (known !== undefined && this.#addsNothing(said, known)) return false;
    if (known !== undefined && isNamesake(said, known)) return false;
    // Only a newcomer needs to know who was there before its time: replays shall not bring them back.
    const matters = known !== undefined || isPresent(said) || source === "welcome";
    if (!matters || (known === undefined && !this.#hasRoom())) return false;
    const heard = this.#believed(said, now);
    const confirmed = said.liveness === Liveness.DEAD && source === "news";
    if (known !== undefined && !supersedes(heard, known)) {
      return this.#hearAgain(heard, confirmed, now);
    }
    this.#store(heard, now, { isNews: source !== "welcome", confirmed });
    return true;
  }

  /** Could not be reached, neither by this node nor by these others: it has some time to refute. */
  suspect(name: string, accusers: readonly string[], now: number): boolean {
    const record = this.find(name);
    if (record === undefined || !isPresent(record) || record === this.#self) return false;
    return this.hear({ ...record, liveness: Liveness.SUSPECT, accusers }, now);
  }

  /** When the next suspect's time is over; null while there is none. */
  nextDeath(): number | null {
    let next: number | null = null;
    const leastMs = this.#suspicions.ms(this.#names.size, Infinity);
    for (const suspect of this.#suspects.values()) {
      if (next !== null && suspect.since + leastMs >= next) continue;
      const at = this.#diesAt(suspect);
      if (next === null || at < next) next = at;
    }
    return next;
  }

  /** Suspects whose time is over are dead; tells how many. */
  expire(now: number): number {
    const leastMs = this.#suspicions.ms(this.#names.size, Infinity);
    const due: Known[] = [];
    for (const suspect of this.#suspects.values()) {
      if (now >= suspect.since + leastMs && now >= this.#diesAt(suspect)) due.push(suspect);
    }
    for (const { record } of due) this.#store({ ...record, liveness: Liveness.DEAD }, now);
    return due.length;
  }

  /** This node slept for `ms`, in which it could have heard no refutation: suspects have as much longer. */
  forgive(ms: number): void {
    for (const suspect of this.#suspects.values()) suspect.since += ms;
  }

  /** Those who are gone for long are forgotten. Gives those who died, and may be back, of the others. */
  lost(now: number): MemberRecord[] {
    const lost: MemberRecord[] = [];
    for (const name of this.#gone) {
      const { record, since } = this.#known.get(name) as Known;
      if (now - since >= this.timing.tombstoneMs) this.#forget(name);
      else if (record.liveness === Liveness.DEAD) lost.push(record);
    }
    return lost;
  }

  /** Who is gone for less than half the time that they are remembered: what newcomers are told. */
  lately(now: number): MemberRecord[] {
    return [...this.#gone]
      .map((name) => this.#known.get(name) as Known)
      .filter(({ since }) => now - since < this.timing.tombstoneMs / 2)
      .map(({ record }) => record);
  }

  /** Changes this node's own state. Throws `invalid_argument` if it may not. */
  become(state: PeerState, now: number): void {
    checkTransition(this.#self.state, state);
    this.#restate({ state }, now);
  }

  /** This node says good-bye. */
  leave(now: number): void {
    this.#restate({ liveness: Liveness.LEFT }, now);
  }

  /** The statements to put on the next message. */
  news(max: number): MemberRecord[] {
    if (this.#news.size === 0) return [];
    const names = this.#news.take(max, retransmits(this.timing, this.#names.size));
    return names.map((name) => this.find(name) as MemberRecord);
  }

  /**
   * The statements to answer with: not counted as told, since who asks has mostly heard them, and without those
   * that it has just told itself.
   */
  answers(max: number, heard: readonly MemberRecord[]): MemberRecord[] {
    if (this.#news.size === 0) return [];
    const told = new Map(heard.map((record) => [record.name, record]));
    return this.#news
      .peek(max)
      .map((name) => this.find(name) as MemberRecord)
      .filter((record) => {
        const said = told.get(record.name);
        return said === undefined || supersedes(record, said);
      });
  }

  /** What changed since the last call, or null. Somebody who came and went is in both lists. */
  takeChange(): TableChange | null {
    return this.#changes.take(() => this.all());
  }

  /** The usual case by far: what is said is known or older, and brings no witness against a suspect. */
  #addsNothing(said: MemberRecord, known: MemberRecord): boolean {
    if (supersedes(said, known)) return false;
    const { SUSPECT } = Liveness;
    const bothDoubt = said.liveness === SUSPECT && known.liveness === SUSPECT;
    if (!bothDoubt || supersedes(known, said)) return true;
    const { accusers = [] } = known;
    const enough = accusers.length > this.timing.confirmations;
    return enough || said.accusers?.every((name) => accusers.includes(name)) === true;
  }

  /**
   * What is made of a statement. Nobody dies by the word of others alone: whom this node has not suspected for the
   * least time may be about to refute, or be on this node's side of a partition that ends.
   */
  #believed(said: MemberRecord, now: number): MemberRecord {
    const accusers = said.accusers
      ?.filter((name) => name !== said.name && this.has(name))
      .slice(0, this.timing.confirmations + 1);
    const heard = accusers === undefined ? said : { ...said, accusers };
    const known = this.#known.get(said.name);
    if (said.liveness !== Liveness.DEAD || known === undefined || !isPresent(known.record)) {
      return heard;
    }
    const leastMs = this.#suspicions.ms(this.#names.size, Infinity);
    const waited = known.record.liveness === Liveness.SUSPECT && now - known.since >= leastMs;
    return waited ? heard : { ...heard, liveness: Liveness.SUSPECT };
  }

  /** Nothing that supersedes; but others may suspect whom this node suspects. */
  #hearAgain(heard: MemberRecord, confirmed: boolean, now: number): boolean {
    const { record, confirmed: was } = this.#known.get(heard.name) as Known;
    const bothDoubt = record.liveness === Liveness.SUSPECT && heard.liveness === Liveness.SUSPECT;
    if (!bothDoubt || supersedes(record, heard)) return false;
    const before = record.accusers ?? [];
    const more = (heard.accusers ?? []).filter((name) => !before.includes(name));
    const accusers = [...before, ...more].slice(0, this.timing.confirmations + 1);
    if (accusers.length === before.length && (was || !confirmed)) return false;
    this.#store({ ...record, accusers }, now, { isNews: true, confirmed: was || confirmed });
    return true;
  }

  #hearOfSelf(said: MemberRecord, now: number, source: Source): boolean {
    const own = this.#self;
    // To outbid another node of this name would last for ever. One that is gone is outbid, if a list has it.
    const another = said.address !== own.address;
    if (another && (isPresent(said) || source === "news")) return false;
    const same = said.incarnation === own.incarnation && said.version === own.version;
    const agrees = said.liveness === own.liveness && said.state === own.state;
    if (own.liveness === Liveness.LEFT || (same && agrees) || (!same && !supersedes(said, own))) {
      return false;
    }
    if (said.incarnation === own.incarnation) {
      this.#restate({ version: Math.max(said.version, own.version) }, now);
    } else if (said.incarnation < MAX_INCARNATION) {
      // An earlier start of this node under a wall clock that was ahead: outbid it.
      this.#restate({ incarnation: said.incarnation + 1, version: 0 }, now);
    }
    return true;
  }

  #diesAt({ record, since, confirmed }: Known): number {
    const accusers = confirmed ? Infinity : (record.accusers?.length ?? 0);
    return since + this.#suspicions.ms(this.#names.size, accusers);
  }

  #restate(change: Partial<MemberRecord>, now: number): void {
    const next = { ...this.#self, ...change };
    // Others refuse what is past the last version, which only a forged statement brings near.
    this.#self =
      next.version < MAX_VERSION
        ? { ...next, version: next.version + 1 }
        : { ...next, incarnation: next.incarnation + 1, version: 0 };
    this.#store(this.#self, now);
  }

  #store(
    record: MemberRecord,
    now: number,
    { isNews, confirmed } = { isNews: true, confirmed: false },
  ): void {
    const { name } = record;
    const before = this.#known.get(name);
    const is = isPresent(record);
    const stands = before !== undefined && isContinued(before.record, record);
    const hash = is ? hashOf(record) : 0;
    // Whoever is told of the gone forgets them by the time at which the teller does, and tells nobody.
    const toldGone = !is && before === undefined && record !== this.#self;
    const startedAt = toldGone ? now - this.timing.tombstoneMs / 2 : now;
    const since = stands ? before.since : startedAt;
    const known = { record, since, confirmed, hash };
    this.#known.set(name, known);
    this.#digest ^= (before?.hash ?? 0) ^ hash;
    this.#present = null;
    if (isNews) this.#news.add(name);
    if (record.liveness === Liveness.SUSPECT) this.#suspects.set(name, known);
    else this.#suspects.delete(name);
    const was = before !== undefined && isPresent(before.record);
    if (is && !was) this.#names.add(name);
    if (was && !is) this.#names.delete(name);
    if (is || record === this.#self) this.#gone.delete(name);
    else this.#gone.add(name);
    this.#changes.note(was ? before.record : null, record);
  }

  /** The gone make room for those who come, the longest gone first. */
  #hasRoom(): boolean {
    if (this.#known.size < MAX_MEMBERS) return true;
    for (const longestGone of this.#gone) {
      this.#forget(longestGone);
      return true;
    }
    return false;
  }

  #forget(name: string): void {
    this.#known.delete(name);
    this.#gone.delete(name);
    this.#news.delete(name);
  }
}

/** Whether a statement is of another node than the one that has the name: a name is its holder's until that is gone. */
function isNamesake(said: MemberRecord, holder: MemberRecord): boolean {
  return said.address !== holder.address && isPresent(holder);
}

/** Whether it goes on being what it was. A later suspicion is one anew: it was refuted in between. */
function isContinued(was: MemberRecord, is: MemberRecord): boolean {
  if (was.liveness !== is.liveness || was.incarnation !== is.incarnation) return false;
  return was.liveness !== Liveness.SUSPECT || was.version === is.version;
}

function hashOf({ name, address, incarnation, version, state }: MemberRecord): number {
  return Bun.hash.xxHash32(`${name}\n${address}\n${incarnation}\n${version}\n${state}`);
}
