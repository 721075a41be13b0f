import { expect, test } from "bun:test";
import fc from "fast-check";
import { SemaphoreState } from "../../src/semaphore/state.ts";
import { judgeChange, semaphoreRows } from "../../src/store/permit-judge.ts";
import type { AcquireOutcome, Permit, PermitChange } from "../../src/store/ports.ts";
import { decodeRows } from "../../src/store/semaphore-rows.ts";

const LIMIT = 2;
const OWNERS = ["a", "b", "c", "d", "e"] as const;

type Step =
  | { readonly do: "apply"; readonly owner: string; readonly waits: boolean }
  | { readonly do: "leave"; readonly owner: string }
  | { readonly do: "lapse" | "confirm"; readonly owner: string }
  | { readonly do: "pass"; readonly ms: number }
  /** The reply comes, is lost, or the change was not even made. */
  | { readonly do: "change"; readonly reply: "comes" | "lost" | "never made" };

const owner = fc.constantFrom(...OWNERS);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant("apply" as const), owner, waits: fc.boolean() }),
  fc.record({ do: fc.constant("leave" as const), owner }),
  fc.record({ do: fc.constantFrom("lapse" as const, "confirm" as const), owner }),
  fc.record({ do: fc.constant("pass" as const), ms: fc.nat(600) }),
  fc.record({
    do: fc.constant("change" as const),
    reply: fc.constantFrom(
      "comes" as const,
      "comes" as const,
      "lost" as const,
      "never made" as const,
    ),
  }),
);

/** The table, as the stores keep it. */
class Table {
  readonly #rows = new Map<string, { key: string; id: string; value: string }>();

  change(change: Omit<PermitChange, "semaphore">): AcquireOutcome[] {
    const { outcomes, remove, insert } = judgeChange(this.#found(), { ...change, semaphore: "s" });
    for (const { key, id } of remove) this.#rows.delete(`${key} ${id}`);
    for (const row of insert) this.#rows.set(`${row.key} ${row.id}`, row);
    return outcomes;
  }

  read() {
    return semaphoreRows(this.#found());
  }

  #found() {
    return decodeRows("s", this.#rows.values());
  }
}

/** The grant of an owner at a time: another one after it has left. */
class Run {
  readonly table = new Table();
  readonly state = new SemaphoreState(1_000);
  readonly grants = new Map<string, number>();
  now = 0;

  constructor() {
    this.learn();
  }

  permit(owner: string): Permit {
    const grant = `${owner}-${this.grants.get(owner) ?? 0}`;
    return { owner, grant, holder: "h:1", incarnation: 1, detached: false };
  }

  learn(): void {
    this.state.learn(this.table.read(), () => this.now + 1_000, this.now);
  }

  step(step: Step): void {
    const { state } = this;
    switch (step.do) {
      case "apply": {
        const { owner, waits } = step;
        state.apply({ permit: this.permit(owner), limit: LIMIT, waits, since: this.now });
        return;
      }
      case "leave":
        state.leave(this.permit(step.owner));
        this.grants.set(step.owner, (this.grants.get(step.owner) ?? 0) + 1);
        return;
      case "lapse":
        state.lapse(this.permit(step.owner));
        return;
      case "confirm":
        state.confirm(this.permit(step.owner), this.now);
        return;
      case "pass":
        this.now += step.ms;
        state.revoke((_, expiresAt) => this.now >= expiresAt);
        return;
      case "change":
        this.change(step.reply);
    }
  }

  change(reply: "comes" | "lost" | "never made"): void {
    const change = this.state.plan();
    if (change === null) return;
    const outcomes = reply === "never made" ? [] : this.table.change(change);
    if (reply !== "comes") this.learn();
    // Nobody else writes: the table is always as it was thought to be.
    else expect(this.state.settle(change, outcomes, this.now)).toBe(true);
  }
}

test("whatever happens, the table has no more permits than the limit, and the state is what it says", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const run = new Run();
      for (const step of steps) {
        run.step(step);
        const { permits, limit } = run.table.read();
        expect(permits.length).toBeLessThanOrEqual(LIMIT);
        expect(limit).toBe(permits.length === 0 ? null : LIMIT);
        for (const permit of permits) expect(run.state.lies(permit)).toBe(true);
      }
      // When all have gone, nothing is left.
      for (const owner of OWNERS) run.step({ do: "leave", owner });
      run.step({ do: "pass", ms: 1_000 });
      while (run.state.plan() !== null) run.change("comes");
      expect(run.table.read()).toEqual({ limit: null, permits: [] });
      run.state.dismissImpatient();
      run.state.takeNews();
      expect(run.state.idle).toBe(true);
    }),
    { numRuns: 500 },
  );
});
