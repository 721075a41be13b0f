// Who held what, and for how long, as the holders themselves judged it. Imports nothing of src.

/** Moments by one monotonic clock, in milliseconds. */
export interface Claim {
  readonly name: string;
  /** How many may hold at once. */
  readonly limit: number;
  readonly from: number;
  /** From here on it is not held. */
  readonly until: number;
}

/** Moments at which more held than may. What ends in a moment does not overlap what begins in it. */
export function overAdmissions(claims: readonly Claim[]): string[] {
  const violations: string[] = [];
  for (const [name, named] of Map.groupBy(claims, (claim) => claim.name)) {
    const changes = named
      .filter(({ from, until }) => until > from)
      .flatMap(({ from, until, limit }) => [
        { at: from, by: 1, limit },
        { at: until, by: -1, limit },
      ])
      .sort((a, b) => a.at - b.at || a.by - b.by);
    let holders = 0;
    for (const { at, by, limit } of changes) {
      holders += by;
      if (by > 0 && holders > limit) {
        violations.push(`${holders} hold ${name} of ${limit} at ${at.toFixed(1)} ms`);
      }
    }
  }
  return violations;
}
