import { isPresent, type MemberRecord } from "./member.ts";

/** What an observer is told: who became present, who no longer is, and that somebody's state changed, or who is suspect. */
export interface TableChange {
  readonly joined: readonly MemberRecord[];
  readonly left: readonly MemberRecord[];
  /**
   * Addresses at which there is no process any more, or another one than before: who left one may have long been
   * followed there by a member of another name.
   */
  readonly vacated: readonly string[];
  /** Nothing has changed but who is suspect. */
  readonly onlyDoubt: boolean;
}

/** What has changed in a list since it was last told. */
export class Changes {
  #joined: MemberRecord[] = [];
  #left: MemberRecord[] = [];
  #changed = false;
  #doubt = false;

  /** Of a member that was there before, or null, this is said now. */
  note(was: MemberRecord | null, record: MemberRecord): void {
    const is = isPresent(record);
    const restarted = was !== null && was.incarnation !== record.incarnation;
    if (was !== null && (!is || restarted)) this.#left.push(was);
    if (is && (was === null || restarted)) this.#joined.push(record);
    if (was === null ? is : !is || restarted || was.state !== record.state) this.#changed = true;
    if (was !== null && was.liveness !== record.liveness) this.#doubt = true;
  }

  /**
   * What there is to tell, once; null for nothing. Somebody who came and went is in both lists. `records` are all there
   * are now.
   */
  take(records: () => readonly MemberRecord[]): TableChange | null {
    if (!this.#changed && !this.#doubt) return null;
    const [joined, left] = [this.#joined, this.#left];
    const vacated = joined.length + left.length === 0 ? [] : vacatedBy(joined, left, records());
    const change = { joined, left, vacated, onlyDoubt: !this.#changed };
    this.#joined = [];
    this.#left = [];
    this.#changed = false;
    this.#doubt = false;
    return change;
  }
}

function vacatedBy(
  joined: readonly MemberRecord[],
  left: readonly MemberRecord[],
  records: readonly MemberRecord[],
): string[] {
  const concerned = new Set([...joined, ...left].map(({ address }) => address));
  const present = records.filter((record) => concerned.has(record.address) && isPresent(record));
  const thereAt = Map.groupBy(present, ({ address }) => address);
  const newcomers = new Set(joined.map(({ name }) => name));
  const gone = left.filter(
    ({ address }) => thereAt.get(address)?.every(({ name }) => newcomers.has(name)) ?? true,
  );
  const followed = joined.filter(({ address, incarnation }) =>
    thereAt.get(address)?.some((other) => other.incarnation < incarnation),
  );
  return [...new Set([...gone, ...followed].map(({ address }) => address))];
}
