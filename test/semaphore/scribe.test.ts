import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { Scribe } from "../../src/semaphore/scribe.ts";
import type { AcquireOutcome, PermitChange, SemaphoreStore } from "../../src/store/ports.ts";

const permit = (owner: string) => ({
  owner,
  grant: "g",
  holder: "h:1",
  incarnation: 5,
  detached: false,
});

function taking(semaphore: string, count = 1): PermitChange {
  const acquire = Array.from({ length: count }, (_, i) => permit(`o${i}`));
  return { semaphore, limit: 1_000, release: [], acquire };
}

/** A store that answers when it is told to. */
class SlowStore implements SemaphoreStore {
  readonly batches: (readonly PermitChange[])[] = [];
  #answer: ((error?: Error) => void) | null = null;

  async read() {
    return { limit: null, permits: [] };
  }

  change(changes: readonly PermitChange[]): Promise<AcquireOutcome[][]> {
    this.batches.push(changes);
    return new Promise((resolve, reject) => {
      this.#answer = (error) => {
        if (error !== undefined) reject(error);
        else resolve(changes.map(({ acquire }) => acquire.map(() => "acquired")));
      };
    });
  }

  async answer(error?: Error): Promise<void> {
    this.#answer?.(error);
    await Bun.sleep(0);
  }

  get sizes(): number[] {
    return this.batches.map((batch) => batch.length);
  }
}

function scribe(leads: () => boolean = () => true) {
  const store = new SlowStore();
  const written = new Scribe({
    store,
    claim: () => (leads() ? { token: 1, fence: null } : null),
    notLeader: () => new HedgerowError("not_leader", "it does not lead"),
  });
  return { store, written };
}

test("the first goes at once; what comes meanwhile travels together in the next", async () => {
  const { store, written } = scribe();
  const first = written.write(taking("a", 2));
  const others = ["b", "c", "d"].map((name) => written.write(taking(name)));
  expect(store.sizes).toEqual([1]);
  await store.answer();
  expect(await first).toEqual(["acquired", "acquired"]);
  expect(store.sizes).toEqual([1, 3]);
  await store.answer();
  expect(await Promise.all(others)).toEqual([["acquired"], ["acquired"], ["acquired"]]);
  void written.write(taking("e"));
  expect(store.sizes).toEqual([1, 3, 1]);
});

test("a transaction has bounds: of semaphores, and of permits unless one alone has more", async () => {
  const { store, written } = scribe();
  void written.write(taking("first"));
  for (let i = 0; i < 100; i++) void written.write(taking(`s${i}`));
  for (const [name, count] of [
    ["large", 900],
    ["medium", 600],
    ["small", 1],
  ] as const) {
    void written.write(taking(name, count));
  }
  void written.write(taking("huge", 2_000));
  void written.write(taking("last"));
  for (let i = 0; i < 10; i++) await store.answer();
  // 64 and 36 of one permit; 900 fits beside the 36; the huge one goes alone.
  expect(store.sizes).toEqual([1, 64, 37, 2, 1, 1]);
});

test("an error is that of all in the transaction, and the next goes on", async () => {
  const { store, written } = scribe();
  const failing = written.write(taking("a")).catch((error: unknown) => error);
  const next = written.write(taking("b"));
  const error = new HedgerowError("outcome_unknown", "no reply");
  await store.answer(error);
  expect(await failing).toBe(error);
  await store.answer();
  expect(await next).toEqual(["acquired"]);
});

test("nothing is written once the reign is over", async () => {
  let leads = true;
  const { store, written } = scribe(() => leads);
  const first = written.write(taking("a"));
  const second = written.write(taking("b")).catch((error: unknown) => error);
  leads = false;
  await store.answer();
  await first;
  expect(HedgerowError.is(await second, "not_leader")).toBe(true);
  expect(store.sizes).toEqual([1]);
});
