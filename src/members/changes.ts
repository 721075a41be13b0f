import { isPresent, type MemberRecord } from "./member.ts";

/** What an observer is told: who became present, who no longer is, and whether anybody's state changed. */
export interface TableChange {
  readonly joined: readonly MemberRecord[];
  readonly left: readonly MemberRecord[];
}

/** What has changed in a list since it was last told. */
export class Changes {
  #joined: MemberRecord[] = [];
  #left: MemberRecord[] = [];
  #changed = false;

  /** Of a member that was there before, or null, this is said now. */
  note(was: MemberRecord | null, record: MemberRecord): void {
    const is = isPresent(record);
    const restarted = was !== null && was.incarnation !== record.incarnation;
    if (was !== null && (!is || restarted)) this.#left.push(was);
    if (is && (was === null || restarted)) this.#joined.push(record);
    if (was === null ? is : !is || restarted || was.state !== record.state) this.#changed = true;
  }

  /** What there is to tell, once; null for nothing. Somebody who came and went is in both lists. */
  take(): TableChange | null {
    if (!this.#changed) return null;
    const change = { joined: this.#joined, left: this.#left };
    this.#joined = [];
    this.#left = [];
    this.#changed = false;
    return change;
  }
}
