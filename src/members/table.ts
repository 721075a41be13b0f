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
import { type GossipTiming, MAX_MEMBERS, retransmits, suspicionMs } from "./timing.ts";

interface Known {
  record: MemberRecord;
  /** Own clock, milliseconds, when the liveness last changed. */
  since: number;
}

/** What an observer is told: who became present, and who no longer is. */
export interface TableChange {
  readonly joined: readonly MemberRecord[];
  readonly left: readonly MemberRecord[];
}

/**
 * Everything that one node knows of the members, itself included. Pure state: it takes `now` and what was
 * heard, and keeps the statements that are still worth passing on.
 */
export class MemberTable {
  readonly #known = new Map<string, Known>();
  /** Statements to pass on, with how often each was. */
  readonly #news = new Map<string, number>();
  #self: MemberRecord;
  #joined: MemberRecord[] = [];
  #left: MemberRecord[] = [];

  constructor(
    self: MemberRecord,
    private readonly timing: GossipTiming,
    now: number,
  ) {
    this.#self = self;
    this.#store(self, now);
  }

  get self(): MemberRecord {
    return this.#self;
  }

  /** Members that count, sorted by address. */
  present(): MemberRecord[] {
    const records: MemberRecord[] = [];
    for (const { record } of this.#known.values()) if (isPresent(record)) records.push(record);
    return records.sort((a, b) => (a.address < b.address ? -1 : 1));
  }

  /** All statements, those about the dead included: for push/pull. */
  all(): MemberRecord[] {
    return [...this.#known.values()].map(({ record }) => record);
  }

  find(name: string): MemberRecord | undefined {
    return this.#known.get(name)?.record;
  }

  /** Takes a statement in; tells whether it was news. One about this node that is wrong is refuted. */
  hear(said: MemberRecord, now: number): boolean {
    const known = this.#known.get(said.name)?.record;
    if (said.name === this.#self.name) return this.#hearOfSelf(said, now);
    if (known === undefined && (!isPresent(said) || this.#known.size >= MAX_MEMBERS)) return false;
    if (known !== undefined && !supersedes(said, known)) return false;
    this.#store(said, now);
    return true;
  }

  /** A probe failed: the member has some time to refute. */
  suspect(name: string, now: number): void {
    const record = this.find(name);
    if (record?.liveness !== Liveness.ALIVE || record === this.#self) return;
    this.#store({ ...record, liveness: Liveness.SUSPECT }, now);
  }

  /** Suspects whose time is over are dead; the dead are forgotten in the end. Tells whether any died. */
  expire(now: number): boolean {
    let died = false;
    const patienceMs = suspicionMs(this.timing, this.#known.size);
    for (const [name, { record, since }] of this.#known) {
      if (record.liveness === Liveness.SUSPECT && now - since >= patienceMs) {
        this.#store({ ...record, liveness: Liveness.DEAD }, now);
        died = true;
      } else if (!isPresent(record) && now - since >= this.timing.tombstoneMs) {
        this.#known.delete(name);
        this.#news.delete(name);
      }
    }
    return died;
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

  /** The statements to put on the next message, those told least often first. */
  news(max: number): MemberRecord[] {
    const told = [...this.#news].sort((a, b) => a[1] - b[1]).slice(0, max);
    const limit = retransmits(this.timing, this.#known.size);
    const records: MemberRecord[] = [];
    for (const [name, count] of told) {
      const record = this.find(name);
      if (record !== undefined) records.push(record);
      if (count + 1 >= limit) this.#news.delete(name);
      else this.#news.set(name, count + 1);
    }
    return records;
  }

  /** What changed since the last call, or null. Somebody who came and went is in both lists. */
  takeChange(): TableChange | null {
    if (this.#joined.length === 0 && this.#left.length === 0) return null;
    const change = { joined: this.#joined, left: this.#left };
    this.#joined = [];
    this.#left = [];
    return change;
  }

  #hearOfSelf(said: MemberRecord, now: number): boolean {
    const own = this.#self;
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

  #restate(change: Partial<MemberRecord>, now: number): void {
    const next = { ...this.#self, ...change };
    // Others refuse what is past the last version, which only a forged statement brings near.
    this.#self =
      next.version < MAX_VERSION
        ? { ...next, version: next.version + 1 }
        : { ...next, incarnation: next.incarnation + 1, version: 0 };
    this.#store(this.#self, now);
  }

  #store(record: MemberRecord, now: number): void {
    const before = this.#known.get(record.name);
    const sameLiveness =
      before?.record.liveness === record.liveness &&
      before.record.incarnation === record.incarnation;
    this.#known.set(record.name, { record, since: sameLiveness ? before.since : now });
    this.#news.set(record.name, 0);
    const was = before !== undefined && isPresent(before.record) ? before.record : null;
    const is = isPresent(record);
    const restarted = was !== null && was.incarnation !== record.incarnation;
    if (was !== null && (!is || restarted)) this.#left.push(was);
    if (is && (was === null || restarted)) this.#joined.push(record);
  }
}
