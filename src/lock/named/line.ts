/** One that waits for a lock, as the leader knows it. */
export interface Place {
  /** Names it: asking again under the same name keeps its place. */
  readonly contender: string;
  /** Address of the member on which it waits. */
  readonly member: string;
  /** Since when it waits. All times are of the leader's clock, in milliseconds. */
  readonly since: number;
}

interface Standing extends Place {
  seenAt: number;
  /** It was told that the lock is free, and has not answered that by taking it or by asking again. */
  told: boolean;
}

interface Holder {
  readonly member: string;
  readonly token: number;
  /** The contender that it was told to be next. */
  knows: string | null;
}

/** Who waits for one lock, in the order in which they came: what the leader keeps in memory. Pure. */
export class Line {
  /** The token that was given up, while nobody is known to have taken the lock since. */
  freed: number | null = null;
  /** Of those that are known to have been given out or up, the newest token. */
  #newest = 0;
  #holder: Holder | null = null;
  #places: Standing[] = [];

  get length(): number {
    return this.#places.length;
  }

  /** When somebody asked last. */
  seenAt = 0;

  /** Gives the place its position, or keeps it there, and tells how many stand before it. */
  enter(place: Place, now: number): number {
    this.seenAt = now;
    const known = this.#places.findIndex(({ contender }) => contender === place.contender);
    const standing = this.#places[known];
    if (standing === undefined) return this.#insert(place, now);
    standing.seenAt = now;
    if (standing.told) {
      // It was told, has looked, and asks again: the lock is not free.
      standing.told = false;
      this.freed = null;
    }
    return known;
  }

  /** The lock was taken. Messages overtake each other: its release may have been heard of before. */
  take(token: number, member: string): void {
    if (token <= this.#newest) return;
    this.#newest = token;
    this.freed = null;
    this.#holder = { member, token, knows: null };
  }

  /** What the holder has yet to be told: who is the first in the line. null if there is nobody, or it knows. */
  news(): { readonly member: string; readonly token: number; readonly next: Place } | null {
    const [next] = this.#places;
    const holder = this.#holder;
    if (next === undefined || holder === null || holder.knows === next.contender) return null;
    holder.knows = next.contender;
    return { member: holder.member, token: holder.token, next };
  }

  /** Tells whether it was there, and whether it was its turn. */
  leave(contender: string): "absent" | "waiting" | "told" {
    const at = this.#places.findIndex((place) => place.contender === contender);
    const place = this.#places[at];
    if (place === undefined) return "absent";
    this.#places.splice(at, 1);
    return place.told ? "told" : "waiting";
  }

  /**
   * The lock was given up, and its holder tells the contender `told` itself, "" if nobody. "untold": somebody else
   * has to be told; "known": this is no news.
   */
  release(token: number, told: string): "known" | "told" | "untold" {
    if (token < this.#newest || token === this.freed) return "known";
    this.#newest = token;
    this.freed = token;
    this.#holder = null;
    for (const place of this.#places) place.told = place.contender === told;
    return this.#places.some((place) => place.told) ? "told" : "untold";
  }

  /** Whose turn it is now: the first that was not told yet. With nobody left, the lock counts as taken. */
  next(): Place | null {
    const place = this.freed === null ? undefined : this.#places.find(({ told }) => !told);
    if (place === undefined) this.freed = null;
    else place.told = true;
    return place ?? null;
  }

  /** Drops those who have not asked since `moment`: they went without a word. Gives their number. */
  forget(moment: number): number {
    const before = this.#places.length;
    this.#places = this.#places.filter(({ seenAt }) => seenAt >= moment);
    return before - this.#places.length;
  }

  #insert(place: Place, now: number): number {
    const at = this.#places.findLastIndex(({ since }) => since <= place.since) + 1;
    this.#places.splice(at, 0, { ...place, seenAt: now, told: false });
    return at;
  }
}
