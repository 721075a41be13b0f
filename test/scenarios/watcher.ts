import { HedgerowError } from "../../src/errors.ts";
import type { StoredEntry } from "../../src/store/ports.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";

/** One who watches: what it saw, and how it ended. */
export class Watcher {
  readonly seen: StoredEntry[] = [];
  error: HedgerowError | null = null;
  done = false;
  readonly #abort = new AbortController();

  constructor(
    readonly node: SimulatedNode,
    fromId?: string,
    readonly key = "key",
    /** Waits for this before it takes the next. */
    consume: (entry: StoredEntry) => Promise<void> = async () => {},
  ) {
    void (async () => {
      try {
        const { signal } = this.#abort;
        for await (const entry of node.core.log.watch(key, { fromId, signal })) {
          this.seen.push(entry);
          await consume(entry);
        }
      } catch (error) {
        this.error = HedgerowError.from(error);
      }
      this.done = true;
    })();
  }

  get values(): string[] {
    return this.seen.map(({ value }) => value);
  }

  end(): void {
    this.#abort.abort();
  }
}
