import type { AcquireOutcome, Permit, PermitChange, SemaphoreRows } from "../store/ports.ts";

/** One that wants a permit. All times are of the leader's clock, in milliseconds. */
export interface Applicant {
  readonly permit: Permit;
  readonly limit: number;
  /** Takes a place in the line where nothing is free. */
  readonly waits: boolean;
  /** Since when it waits: the order of the line. */
  readonly since: number;
}

export type Answer =
  | { readonly kind: "acquired" }
  | { readonly kind: "waiting" }
  | { readonly kind: "full" }
  | { readonly kind: "held" }
  | { readonly kind: "other-limit"; readonly limit: number };

/** `due`: the next change takes it a permit. */
export type Standing = Answer | { readonly kind: "due" };

/** A permit that lies in the table. */
interface Taken {
  readonly permit: Permit;
  /** When it is taken back, unless its holder is heard of before. */
  expiresAt: number;
  /** Whether its holder may know that it has it. */
  told: boolean;
  /** To be given back by the next change. */
  leaving: boolean;
}

/** Of one transaction. */
const MAX_CHANGES = 500;

/** What the leader knows of one semaphore: the permits in the table, and who waits. Pure. */
export class SemaphoreState {
  #limit: number | null = null;
  #taken = new Map<string, Taken>();
  #line: Applicant[] = [];
  #news: Permit[] = [];

  constructor(private readonly revokeAfterMs: number) {}

  get waiting(): number {
    return this.#line.length;
  }

  get idle(): boolean {
    return this.#taken.size === 0 && this.#line.length === 0;
  }

  /** When the next permit expires; Infinity for none. */
  get nextExpiry(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { leaving, expiresAt } of this.#taken.values()) {
      if (!leaving) next = Math.min(next, expiresAt);
    }
    return next;
  }

  /** Takes in what the table says. Permits that were not known expire when `expiry` says. */
  learn(rows: SemaphoreRows, expiry: (permit: Permit) => number, now: number): void {
    const known = this.#taken;
    this.#limit = rows.limit;
    this.#taken = new Map();
    for (const permit of rows.permits) {
      const before = known.get(permit.owner);
      const applied = this.#findInLine(permit);
      if (applied >= 0) this.#news.push(...this.#line.splice(applied, 1).map((a) => a.permit));
      const expiresAt = applied >= 0 ? now + this.revokeAfterMs : expiry(permit);
      const learnt = { permit, expiresAt, told: applied < 0, leaving: false };
      this.#taken.set(permit.owner, before?.permit.grant === permit.grant ? before : learnt);
    }
    const limit = this.#effectiveLimit();
    this.#dropFromLine((applicant) => {
      return applicant.limit !== limit || this.#hasAnother(applicant.permit);
    });
  }

  /** Those whose permits were taken, and those who were turned away, since the last call. */
  takeNews(): Permit[] {
    return this.#news.splice(0);
  }

  /** Sends those away who do not wait. */
  dropImpatient(): void {
    this.#dropFromLine(({ waits }) => !waits);
  }

  /** Somebody wants a permit, or asks again what became of that. */
  apply(applicant: Applicant): Standing {
    const { owner, grant } = applicant.permit;
    const taken = this.#taken.get(owner);
    if (taken !== undefined && !taken.leaving) {
      if (isSuperseded(taken.permit, applicant.permit)) taken.leaving = true;
      else return { kind: taken.permit.grant === grant ? "acquired" : "held" };
    }
    const at = this.#line.findIndex(({ permit }) => permit.owner === owner);
    const standing = this.#line[at];
    let { since } = applicant;
    if (standing !== undefined) {
      const same = standing.permit.grant === grant;
      if (!same && !isSuperseded(standing.permit, applicant.permit)) return { kind: "held" };
      if (same) since = standing.since;
      this.#line.splice(at, 1);
    }
    const limit = this.#effectiveLimit();
    if (limit !== null && limit !== applicant.limit) return { kind: "other-limit", limit };
    return this.#enter({ ...applicant, since });
  }

  /** What became of an application: null if nothing is known of it any more. */
  find(permit: Pick<Permit, "owner" | "grant">): Standing | null {
    if (this.holds(permit)) return { kind: "acquired" };
    const at = this.#findInLine(permit);
    const standing = this.#line[at];
    if (standing === undefined) return null;
    if (at < this.#free(standing.limit)) return { kind: "due" };
    return { kind: standing.waits ? "waiting" : "full" };
  }

  /** Whether the permit lies in the table, and stays there. */
  holds({ owner, grant }: Pick<Permit, "owner" | "grant">): boolean {
    const taken = this.#taken.get(owner);
    return taken !== undefined && taken.permit.grant === grant && !taken.leaving;
  }

  /** Whether the permit lies in the table still, though it may be about to go. */
  lies({ owner, grant }: Pick<Permit, "owner" | "grant">): boolean {
    return this.#taken.get(owner)?.permit.grant === grant;
  }

  /** Its holder is heard of, or told that it has it; false if it has not. */
  confirm({ owner, grant }: Pick<Permit, "owner" | "grant">, now: number): boolean {
    const taken = this.#taken.get(owner);
    if (taken === undefined || taken.permit.grant !== grant || taken.leaving) return false;
    taken.told = true;
    taken.expiresAt = now + this.revokeAfterMs;
    return true;
  }

  /** Gives a permit back, or a place in the line up. */
  leave({ owner, grant }: Pick<Permit, "owner" | "grant">): void {
    const taken = this.#taken.get(owner);
    if (taken?.permit.grant === grant) taken.leaving = true;
    this.#leaveLine({ owner, grant });
  }

  /** As `leave`, unless its holder may know that it has the permit. */
  lapse({ owner, grant }: Pick<Permit, "owner" | "grant">): void {
    const taken = this.#taken.get(owner);
    if (taken?.permit.grant === grant && !taken.told) taken.leaving = true;
    this.#leaveLine({ owner, grant });
  }

  /** Takes permits back: those that `isOver` says. Gives them. */
  revoke(isOver: (permit: Permit, expiresAt: number) => boolean): Permit[] {
    const revoked: Permit[] = [];
    for (const taken of this.#taken.values()) {
      if (taken.leaving || !isOver(taken.permit, taken.expiresAt)) continue;
      taken.leaving = true;
      revoked.push(taken.permit);
    }
    return revoked;
  }

  /** What is to be written now; null for nothing. */
  plan(): PermitChange | null {
    const release = [];
    for (const { leaving, permit } of this.#taken.values()) if (leaving) release.push(permit);
    const limit = this.#effectiveLimit();
    const due = limit === null ? [] : this.#line.slice(0, Math.max(0, this.#free(limit)));
    if (release.length + due.length === 0) return null;
    return {
      limit: limit ?? 1, // asked of those alone who take a permit
      // In parts those who give back come first: what they leave is counted as free already.
      release: release.slice(0, MAX_CHANGES),
      acquire: release.length > MAX_CHANGES ? [] : due.slice(0, MAX_CHANGES).map((a) => a.permit),
    };
  }

  /** A change was committed. False if the table is not as it was thought to be. */
  settle(change: PermitChange, outcomes: readonly AcquireOutcome[], now: number): boolean {
    for (const { owner, grant } of change.release) {
      const taken = this.#taken.get(owner);
      if (taken?.permit.grant === grant && taken.leaving) this.#taken.delete(owner);
    }
    if (this.#taken.size === 0) this.#limit = null;
    let asThought = true;
    change.acquire.forEach((permit, i) => {
      if (outcomes[i] !== "acquired") {
        asThought = false;
        return;
      }
      // Who has left the line meanwhile does not want it any more.
      const leaving = !this.#leaveLine(permit);
      const expiresAt = now + this.revokeAfterMs;
      this.#taken.set(permit.owner, { permit, expiresAt, told: false, leaving });
      this.#limit = change.limit;
      this.#news.push(permit);
    });
    return asThought;
  }

  #enter(applicant: Applicant): Standing {
    const at = this.#line.findLastIndex(({ since }) => since <= applicant.since) + 1;
    const due = at < this.#free(applicant.limit);
    if (!due && !applicant.waits) return { kind: "full" };
    this.#line.splice(at, 0, applicant);
    return { kind: due ? "due" : "waiting" };
  }

  /** The limit that a newcomer must know; null where it may choose one. */
  #effectiveLimit(): number | null {
    const drains = this.#taken.size > 0 && this.#staying() === 0;
    return (drains ? null : this.#limit) ?? this.#line[0]?.limit ?? null;
  }

  #free(limit: number): number {
    return limit - this.#staying();
  }

  #staying(): number {
    let staying = 0;
    for (const { leaving } of this.#taken.values()) if (!leaving) staying++;
    return staying;
  }

  #dropFromLine(isOut: (applicant: Applicant) => boolean): void {
    for (const applicant of this.#line) if (isOut(applicant)) this.#news.push(applicant.permit);
    this.#line = this.#line.filter((applicant) => !isOut(applicant));
  }

  /** Whether the owner has a permit by another grant, and keeps it. */
  #hasAnother({ owner, grant }: Permit): boolean {
    const taken = this.#taken.get(owner);
    return taken !== undefined && !taken.leaving && taken.permit.grant !== grant;
  }

  #findInLine({ owner, grant }: Pick<Permit, "owner" | "grant">): number {
    return this.#line.findIndex(({ permit }) => permit.owner === owner && permit.grant === grant);
  }

  #leaveLine(permit: Pick<Permit, "owner" | "grant">): boolean {
    const at = this.#findInLine(permit);
    if (at >= 0) this.#line.splice(at, 1);
    return at >= 0;
  }
}

/** Whether the process that has the one is gone, because a later one at its address has the other. */
function isSuperseded(earlier: Permit, later: Permit): boolean {
  const samePlace = earlier.holder === later.holder;
  return samePlace && earlier.incarnation < later.incarnation && !earlier.detached;
}
