import { describe, expect, test } from "bun:test";
import type { Applicant } from "../../src/semaphore/line.ts";
import { SemaphoreState } from "../../src/semaphore/state.ts";
import type { Permit } from "../../src/store/ports.ts";

const REVOKE_AFTER_MS = 1_000;
const never = () => Number.POSITIVE_INFINITY;

function permit(owner: string, what: Partial<Permit> = {}): Permit {
  return { owner, grant: `g-${owner}`, holder: "h:1", incarnation: 5, detached: false, ...what };
}

function applicant(owner: string, what: Partial<Applicant> = {}): Applicant {
  return { permit: permit(owner), limit: 1, waits: true, since: 0, ...what };
}

/** A state that knows the table, in which these owners have permits. */
function stateWith(limit: number | null, ...owners: readonly string[]): SemaphoreState {
  const state = new SemaphoreState(REVOKE_AFTER_MS);
  state.learn({ limit, permits: owners.map((owner) => permit(owner)) }, never, 0);
  return state;
}

/** Commits what is planned, as it was thought. */
function commit(state: SemaphoreState, now = 0) {
  const change = state.plan();
  if (change === null) throw new Error("nothing is planned");
  const outcomes = change.acquire.map(() => "acquired" as const);
  expect(state.settle(change, outcomes, now)).toBe(true);
  return {
    released: change.release.map(({ owner }) => owner),
    acquired: change.acquire.map(({ owner }) => owner),
    limit: change.limit,
  };
}

describe("apply", () => {
  test("a free permit is due, and taken by the next change", () => {
    const state = stateWith(null);
    expect(state.apply(applicant("a", { limit: 3 }))).toEqual({ kind: "due" });
    expect(state.find(permit("a"))).toEqual({ kind: "due" });
    expect(commit(state)).toEqual({ released: [], acquired: ["a"], limit: 3 });
    expect(state.find(permit("a"))).toEqual({ kind: "acquired" });
    expect(state.takeNews()).toEqual([permit("a")]);
    expect(state.plan()).toBeNull();
  });

  test("where nothing is free some wait, and others are told so", () => {
    const state = stateWith(1, "a");
    expect(state.apply(applicant("b"))).toEqual({ kind: "waiting" });
    expect(state.apply(applicant("c", { waits: false }))).toEqual({ kind: "full" });
    expect(state.find(permit("c"))).toBeNull();
    expect([state.waiting, state.plan()]).toEqual([1, null]);
  });

  test("nobody who does not wait overtakes those who do", () => {
    const state = stateWith(1, "a");
    state.apply(applicant("b"));
    state.leave(permit("a"));
    expect(state.apply(applicant("c", { waits: false, since: 1 }))).toEqual({ kind: "full" });
    expect(commit(state)).toMatchObject({ released: ["a"], acquired: ["b"] });
  });

  test("the line is in the order of since when they wait, whenever they ask", () => {
    const state = stateWith(1, "a");
    for (const [owner, since] of [
      ["late", 30],
      ["early", 10],
      ["middle", 20],
      ["also", 20],
    ] as const) {
      state.apply(applicant(owner, { since }));
    }
    const order = [];
    for (const owner of ["a", "early", "middle", "also"]) {
      state.leave(permit(owner));
      order.push(...commit(state).acquired);
    }
    expect(order).toEqual(["early", "middle", "also", "late"]);
  });

  test("the same grant again keeps its place, another of its owner is refused", () => {
    const state = stateWith(1, "a");
    state.apply(applicant("b", { since: 1 }));
    state.apply(applicant("c", { since: 2 }));
    expect(state.apply(applicant("b", { since: 9 }))).toEqual({ kind: "waiting" });
    const other = applicant("b", { permit: permit("b", { grant: "other" }) });
    expect(state.apply(other)).toEqual({ kind: "held" });
    state.leave(permit("a"));
    expect(commit(state).acquired).toEqual(["b"]);
    expect(state.apply(applicant("b"))).toEqual({ kind: "acquired" });
    expect(state.apply(other)).toEqual({ kind: "held" });
  });

  test("another limit is refused while permits are taken or wanted", () => {
    const state = stateWith(2, "a");
    expect(state.apply(applicant("b", { limit: 3 }))).toEqual({ kind: "other-limit", limit: 2 });
    state.leave(permit("a"));
    // It drains: who comes first says what the limit is.
    expect(state.apply(applicant("b", { limit: 3 }))).toEqual({ kind: "due" });
    expect(state.apply(applicant("c", { limit: 2 }))).toEqual({ kind: "other-limit", limit: 3 });
    expect(commit(state)).toEqual({ released: ["a"], acquired: ["b"], limit: 3 });
  });

  test("a later process at the address takes over from the one before, unless its work goes on", () => {
    for (const detached of [false, true]) {
      const state = new SemaphoreState(REVOKE_AFTER_MS);
      state.learn({ limit: 1, permits: [permit("a", { detached })] }, never, 0);
      const later = permit("a", { grant: "later", incarnation: 6 });
      const answer = state.apply(applicant("a", { permit: later }));
      expect(answer).toEqual({ kind: detached ? "held" : "due" });
      if (!detached) expect(commit(state)).toMatchObject({ released: ["a"], acquired: ["a"] });
    }
  });
});

describe("going", () => {
  test("a permit that is given back is free for the next, in one change", () => {
    const state = stateWith(2, "a", "b");
    state.apply(applicant("c", { limit: 2 }));
    state.apply(applicant("d", { limit: 2 }));
    state.leave(permit("b"));
    expect(state.lies(permit("b"))).toBe(true);
    expect(commit(state)).toEqual({ released: ["b"], acquired: ["c"], limit: 2 });
    expect(state.lies(permit("b"))).toBe(false);
    expect(state.waiting).toBe(1);
  });

  test("another grant of the owner gives nothing back", () => {
    const state = stateWith(1, "a");
    state.leave({ owner: "a", grant: "other" });
    expect(state.plan()).toBeNull();
  });

  test("who leaves while its permit is being taken gives it back with the next change", () => {
    const state = stateWith(null);
    state.apply(applicant("a"));
    const change = state.plan() as NonNullable<ReturnType<typeof state.plan>>;
    state.leave(permit("a"));
    state.settle(change, ["acquired"], 0);
    expect(state.find(permit("a"))).toBeNull();
    expect(commit(state)).toMatchObject({ released: ["a"], acquired: [] });
    expect(state.idle).toBe(true);
  });

  test("what nobody was told of lapses, what somebody may know does not", () => {
    const state = stateWith(null);
    state.apply(applicant("a", { limit: 2 }));
    state.apply(applicant("b", { limit: 2 }));
    commit(state);
    state.confirm(permit("a"), 0);
    state.lapse(permit("a"));
    state.lapse(permit("b"));
    expect(commit(state)).toMatchObject({ released: ["b"], acquired: [] });
  });

  test("a permit of which nothing is heard is taken back, and not renewed any more", () => {
    const state = stateWith(null);
    state.apply(applicant("a"));
    commit(state, 100);
    expect(state.nextExpiry).toBe(100 + REVOKE_AFTER_MS);
    expect(state.confirm(permit("a"), 500)).toBe(true);
    expect(state.revoke((_, expiresAt) => 1_400 >= expiresAt)).toEqual([]);
    expect(state.revoke((_, expiresAt) => 1_500 >= expiresAt)).toEqual([permit("a")]);
    expect(state.confirm(permit("a"), 1_500)).toBe(false);
    expect(state.nextExpiry).toBe(Number.POSITIVE_INFINITY);
    expect(commit(state)).toMatchObject({ released: ["a"] });
  });

  test("a change has a bound, and while more leaves nobody comes", () => {
    const owners = Array.from({ length: 700 }, (_, i) => `o${i}`);
    const state = stateWith(700, ...owners);
    for (const owner of owners) state.leave(permit(owner));
    state.apply(applicant("next", { limit: 700 }));
    expect(commit(state).released.length).toBe(500);
    expect(commit(state)).toMatchObject({ acquired: ["next"] });
    expect(state.plan()).toBeNull();
  });
});

describe("learn", () => {
  test("an application that was granted though nobody had said so", () => {
    const state = stateWith(null);
    state.apply(applicant("a"));
    state.learn({ limit: 1, permits: [permit("a")] }, never, 50);
    expect(state.find(permit("a"))).toEqual({ kind: "acquired" });
    expect(state.takeNews()).toEqual([permit("a")]);
    expect(state.nextExpiry).toBe(50 + REVOKE_AFTER_MS);
  });

  test("what is not in the table any more is not taken, what is known keeps its time", () => {
    const state = stateWith(null);
    state.apply(applicant("a", { limit: 2 }));
    state.apply(applicant("b", { limit: 2 }));
    commit(state, 100);
    const unknown = permit("c");
    state.learn({ limit: 2, permits: [permit("b"), unknown] }, () => 7_000, 500);
    expect(state.find(permit("a"))).toBeNull();
    expect(state.nextExpiry).toBe(100 + REVOKE_AFTER_MS);
    expect(state.revoke((_, expiresAt) => expiresAt === 7_000)).toEqual([unknown]);
  });

  test("who cannot be served any more is sent away, to find out why when it asks again", () => {
    const state = stateWith(2, "a", "b");
    state.apply(applicant("c", { limit: 2 }));
    state.apply(applicant("d", { limit: 2 }));
    const another = permit("c", { grant: "another" });
    state.learn({ limit: 2, permits: [permit("a"), another] }, never, 0);
    expect(state.takeNews()).toEqual([permit("c")]);
    expect(state.apply(applicant("c", { limit: 2 }))).toEqual({ kind: "held" });
    state.learn({ limit: 3, permits: [permit("a")] }, never, 0);
    expect(state.takeNews()).toEqual([permit("d")]);
    expect(state.apply(applicant("d", { limit: 2 }))).toEqual({ kind: "other-limit", limit: 3 });
  });

  test("those who do not wait are sent away where the table cannot be asked", () => {
    const state = stateWith(null);
    state.apply(applicant("a", { waits: false }));
    state.apply(applicant("b"));
    state.dismissImpatient();
    expect([state.find(permit("a")), state.find(permit("b"))]).toEqual([null, { kind: "due" }]);
  });
});
