import type { AcquireOutcome, Permit, PermitChange, SemaphoreRows } from "../store/ports.ts";
import { type Applicant, type PermitRef, WaitingLine } from "./line.ts";

export type Answer =
  | { readonly kind: "acquired" }
  | { readonly kind: "waiting" }
  | { readonly kind: "full" }
  /** The owner has a permit, or waits for one, by another grant. */
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

type Change = Omit<PermitChange, "semaphore">;

/**
 * What the leader knows of one semaphore: the permits in the table, and who waits. Pure; all times are of the
 * leader's clock, in milliseconds.
 */
export class SemaphoreState {
  readonly #line = new WaitingLine();
  #taken = new Map<string, Taken>();
  #limit: number | null = null;
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

  /** Those whose permits were taken, and those who were sent away, since the last call. */
  takeNews(): Permit[] {
    return this.#news.splice(0);
  }

  /** Takes in what the table says. Permits that were not known expire when `expiryOf` says. */
  learn(rows: SemaphoreRows, expiryOf: (permit: Permit) => number, now: number): void {
    const known = this.#taken;
    this.#limit = rows.limit;
    this.#taken = new Map();
    for (const permit of rows.permits) {
      const before = known.get(permit.owner);
      if (before?.permit.grant === permit.grant) this.#taken.set(permit.owner, before);
      else if (this.#line.leave(permit)) this.#take(permit, now, false);
      else {
        const expiresAt = expiryOf(permit);
        this.#taken.set(permit.owner, { permit, expiresAt, told: true, leaving: false });
      }
    }
    const limit = this.#effectiveLimit();
    this.#dismiss((applicant) => applicant.limit !== limit || this.#hasAnother(applicant.permit));
  }

  /** Somebody wants a permit, or asks again what became of that. */
  apply(applicant: Applicant): Standing {
    const { owner, grant } = applicant.permit;
    const taken = this.#taken.get(owner);
    if (taken !== undefined && !taken.leaving) {
      if (isSuperseded(taken.permit, applicant.permit)) taken.leaving = true;
      else return { kind: taken.permit.grant === grant ? "acquired" : "held" };
    }
    const standing = this.#line.ofOwner(owner);
    const same = standing?.permit.grant === grant;
    if (standing !== null) {
      if (!same && !isSuperseded(standing.permit, applicant.permit)) return { kind: "held" };
      this.#line.leave(standing.permit);
    }
    return this.#enter(same ? { ...applicant, since: standing.since } : applicant);
  }

  /** What became of an application; null if nothing is known of it any more. */
  find(ref: PermitRef): Standing | null {
    if (this.#staying(ref) !== null) return { kind: "acquired" };
    const ahead = this.#line.ahead(ref);
    const standing = this.#line.ofOwner(ref.owner);
    if (ahead === null || standing === null) return null;
    if (ahead < this.#free(standing.limit)) return { kind: "due" };
    return { kind: standing.waits ? "waiting" : "full" };
  }

  /** Whether the permit lies in the table, though it may be about to go. */
  lies({ owner, grant }: PermitRef): boolean {
    return this.#taken.get(owner)?.permit.grant === grant;
  }

  /** Its holder is heard of, or told that it has it; false if it has not. */
  confirm(ref: PermitRef, now: number): boolean {
    const taken = this.#staying(ref);
    if (taken === null) return false;
    taken.told = true;
    taken.expiresAt = now + this.revokeAfterMs;
    return true;
  }

  /** Gives a permit back, or a place in the line up. */
  leave(ref: PermitRef): void {
    const taken = this.#staying(ref);
    if (taken !== null) taken.leaving = true;
    this.#line.leave(ref);
  }

  /** As `leave`, unless its holder may know that it has the permit. */
  lapse(ref: PermitRef): void {
    if (this.#staying(ref)?.told !== true) this.leave(ref);
  }

  /** Sends those away who do not wait. */
  dismissImpatient(): void {
    this.#dismiss(({ waits }) => !waits);
  }

  /** Whether there is such a permit that is to stay. */
  some(is: (permit: Permit) => boolean): boolean {
    return [...this.#taken.values()].some(({ leaving, permit }) => !leaving && is(permit));
  }

  /** Takes back the permits that `isOver` says, and gives them. */
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
  plan(): Change | null {
    const release: PermitRef[] = [];
    for (const { leaving, permit } of this.#taken.values()) if (leaving) release.push(permit);
    const limit = this.#effectiveLimit();
    const due = limit === null ? [] : this.#line.first(this.#free(limit));
    if (release.length + due.length === 0) return null;
    return {
      limit: limit ?? 1, // asked of those alone who take a permit
      release: release.slice(0, MAX_CHANGES),
      // What leaves is counted as free already: while more of it is left, nobody may come.
      acquire: release.length > MAX_CHANGES ? [] : due.slice(0, MAX_CHANGES).map((a) => a.permit),
    };
  }

  /** A change was committed. False if the table is not as it was thought to be. */
  settle(change: Change, outcomes: readonly AcquireOutcome[], now: number): boolean {
    for (const ref of change.release) {
      if (this.lies(ref) && this.#staying(ref) === null) this.#taken.delete(ref.owner);
    }
    if (this.#taken.size === 0) this.#limit = null;
    for (const [i, permit] of change.acquire.entries()) {
      if (outcomes[i] !== "acquired") continue;
      // Who has left the line meanwhile does not want it any more.
      this.#take(permit, now, !this.#line.leave(permit));
      this.#limit = change.limit;
    }
    return change.acquire.every((_, i) => outcomes[i] === "acquired");
  }

  #take(permit: Permit, now: number, leaving: boolean): void {
    const expiresAt = now + this.revokeAfterMs;
    this.#taken.set(permit.owner, { permit, expiresAt, told: false, leaving });
    this.#news.push(permit);
  }

  #enter(applicant: Applicant): Standing {
    const limit = this.#effectiveLimit();
    if (limit !== null && limit !== applicant.limit) return { kind: "other-limit", limit };
    const due = this.#line.aheadOf(applicant.since) < this.#free(applicant.limit);
    if (!due && !applicant.waits) return { kind: "full" };
    this.#line.enter(applicant);
    return { kind: due ? "due" : "waiting" };
  }

  #dismiss(isOut: (applicant: Applicant) => boolean): void {
    this.#news.push(...this.#line.dismiss(isOut).map(({ permit }) => permit));
  }

  /** The limit that a newcomer must know; null where it may choose one. */
  #effectiveLimit(): number | null {
    const drains = this.#taken.size > 0 && this.#countStaying() === 0;
    return (drains ? null : this.#limit) ?? this.#line.first(1)[0]?.limit ?? null;
  }

  #free(limit: number): number {
    return limit - this.#countStaying();
  }

  #countStaying(): number {
    let staying = 0;
    for (const { leaving } of this.#taken.values()) if (!leaving) staying++;
    return staying;
  }

  /** The permit, if it lies in the table and is to stay there. */
  #staying({ owner, grant }: PermitRef): Taken | null {
    const taken = this.#taken.get(owner);
    return taken === undefined || taken.leaving || taken.permit.grant !== grant ? null : taken;
  }

  /** Whether the owner has a permit by another grant, and keeps it. */
  #hasAnother({ owner, grant }: Permit): boolean {
    const taken = this.#taken.get(owner);
    return taken !== undefined && !taken.leaving && taken.permit.grant !== grant;
  }
}

/** Whether the process that has the one is gone, because a later one at its address has the other. */
function isSuperseded(earlier: Permit, later: Permit): boolean {
  const samePlace = earlier.holder === later.holder;
  return samePlace && earlier.incarnation < later.incarnation && !earlier.detached;
}
