import type { Permit } from "../store/ports.ts";

/** What tells an acquisition from all others of its semaphore. */
export type PermitRef = Pick<Permit, "owner" | "grant">;

/** One that wants a permit. All times are of the leader's clock, in milliseconds. */
export interface Applicant {
  readonly permit: Permit;
  readonly limit: number;
  /** Takes a place in the line where nothing is free. */
  readonly waits: boolean;
  /** Since when it waits: the order of the line. */
  readonly since: number;
}

/** Those who want a permit of one semaphore, in the order in which they came. Pure. */
export class WaitingLine {
  #applicants: Applicant[] = [];

  get length(): number {
    return this.#applicants.length;
  }

  /** Those in front. */
  first(count: number): Applicant[] {
    return this.#applicants.slice(0, Math.max(0, count));
  }

  ofOwner(owner: string): Applicant | null {
    return this.#applicants.find(({ permit }) => permit.owner === owner) ?? null;
  }

  /** How many stand before the applicant; null where it does not stand here. */
  ahead({ owner, grant }: PermitRef): number | null {
    const at = this.#applicants.findIndex(
      ({ permit }) => permit.owner === owner && permit.grant === grant,
    );
    return at < 0 ? null : at;
  }

  /** How many would stand before one that waits since then. */
  aheadOf(since: number): number {
    return this.#applicants.findLastIndex((applicant) => applicant.since <= since) + 1;
  }

  enter(applicant: Applicant): void {
    this.#applicants.splice(this.aheadOf(applicant.since), 0, applicant);
  }

  /** False if it did not stand here. */
  leave(ref: PermitRef): boolean {
    const at = this.ahead(ref);
    if (at !== null) this.#applicants.splice(at, 1);
    return at !== null;
  }

  /** Sends some away, and gives them. */
  dismiss(isOut: (applicant: Applicant) => boolean): Applicant[] {
    const dismissed = this.#applicants.filter(isOut);
    this.#applicants = this.#applicants.filter((applicant) => !isOut(applicant));
    return dismissed;
  }
}
