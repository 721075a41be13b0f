import { HedgerowError } from "../../../src/errors.ts";
import type { StoredEntry } from "../../../src/store/ports.ts";
import type { SimulatedCluster, SimulatedNode } from "./cluster.ts";

/** One who watches a key on a node. */
interface Watcher {
  readonly key: string;
  readonly fromId: string | undefined;
  readonly node: SimulatedNode;
  /** The process that it belongs to. */
  readonly core: SimulatedNode["core"];
  readonly seen: StoredEntry[];
  /** Why it ended: the code of its error, or "ended" by its own signal; null while it goes on. */
  outcome: string | null;
}

/** What the database holds of each key, newest first. */
type History = ReadonlyMap<string, readonly StoredEntry[]>;

/** How a watch may end by itself: before it began, for want of the store; or with its node. */
const EXPECTED = new Set(["ended", "unavailable", "timeout", "stopped"]);

/** Watchers on all nodes, some of them slow, that come and go until a moment. */
export class WatchWorkload {
  readonly #watchers: Watcher[] = [];
  #stopped = false;

  constructor(private readonly cluster: SimulatedCluster) {}

  /** How many versions were given out. */
  get seen(): number {
    return this.#watchers.reduce((sum, { seen }) => sum + seen.length, 0);
  }

  start(untilMs: number, watchers: number): void {
    const { scheduler, nodes } = this.cluster;
    const prng = this.cluster.prng.fork();
    for (let i = 0; i < watchers; i++) {
      const again = () => {
        if (this.#stopped || scheduler.now >= untilMs) return;
        const leave = new AbortController();
        const fromId = prng.chance(0.5) ? "" : undefined;
        const slowMs = prng.chance(0.3) ? prng.between(10, 2_000) : 0;
        this.#watch(prng.pick(nodes), `key-${prng.int(4)}`, fromId, slowMs, leave.signal);
        const staysMs = prng.between(1_000, 20_000);
        scheduler.after(staysMs, () => leave.abort());
        scheduler.after(staysMs + prng.between(0, 1_000), again);
      };
      scheduler.after(prng.between(0, 3_000), again);
    }
  }

  /** No more watchers; those that are there stay, and are not slow any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** Every node watches a key from its beginning, to the end. */
  watchEverywhere(key: string): void {
    for (const node of this.cluster.nodes) this.#watch(node, key, "", 0);
  }

  /** Those that are there have seen their key's history up to its end. */
  isComplete(stored: History): boolean {
    return this.#watchers.every((watcher) => isComplete(watcher, stored));
  }

  /** Each has seen a part of its key's history without a gap, and those that are there all up to its end. */
  check(stored: History): string[] {
    return this.#watchers.flatMap((watcher) => {
      const problem = problemOf(watcher, stored);
      return problem === null ? [] : [`${watcher.node.address} watches ${watcher.key}: ${problem}`];
    });
  }

  #watch(
    node: SimulatedNode,
    key: string,
    fromId: string | undefined,
    slowMs: number,
    signal?: AbortSignal,
  ): void {
    if (!node.machine.alive || node.machine.paused) return;
    const { machine, core } = node;
    const watcher: Watcher = { key, fromId, node, core, seen: [], outcome: null };
    this.#watchers.push(watcher);
    const pause = () => new Promise<void>((resolve) => machine.schedule(slowMs, resolve));
    const run = async () => {
      for await (const entry of core.log.watch(key, { fromId, signal })) {
        watcher.seen.push(entry);
        if (slowMs > 0 && !this.#stopped) await pause();
      }
    };
    const end = (outcome: string) => {
      watcher.outcome = outcome;
    };
    run().then(
      () => end("ended"),
      (error: unknown) => end(HedgerowError.from(error).code),
    );
  }
}

function isComplete({ seen, fromId, outcome, node, core, key }: Watcher, stored: History): boolean {
  const goesOn = outcome === null && node.core === core && node.machine.alive;
  // From now on: perhaps nothing was written since.
  if (!goesOn || (seen.length === 0 && fromId !== "")) return true;
  return seen.at(-1)?.id === stored.get(key)?.[0]?.id;
}

function problemOf(watcher: Watcher, stored: History): string | null {
  const { seen, fromId, outcome, key } = watcher;
  if (outcome !== null && !EXPECTED.has(outcome)) return `it ended with ${outcome}`;
  const ids = (stored.get(key) ?? []).map(({ id }) => id).reverse();
  const [first] = seen;
  const start = first === undefined || fromId === "" ? 0 : ids.indexOf(first.id);
  const given = seen.map(({ id }) => id);
  if (given.join() !== ids.slice(start, start + given.length).join()) {
    return `it saw ${given}, of ${ids}`;
  }
  return isComplete(watcher, stored) ? null : `it saw nothing after ${given.at(-1)}, of ${ids}`;
}
