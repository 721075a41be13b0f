import type { CallOptions } from "../../runtime/runtime.ts";
import { checkStart, storeClosed } from "../calls.ts";
import type { Store } from "../ports.ts";
import { MemoryLockStore } from "./lock.ts";
import { MemoryLogStore } from "./log.ts";
import type { Run } from "./run.ts";
import { MemorySemaphoreStore } from "./semaphores.ts";
import type { MemoryTables } from "./tables.ts";

/** One node's view of a database in memory. */
export class MemoryStore implements Store {
  readonly lock: MemoryLockStore;
  readonly log: MemoryLogStore | null;
  readonly semaphores: MemorySemaphoreStore | null;
  readonly #run: Run;
  #closed = false;

  constructor(tables: MemoryTables, log: boolean) {
    this.#run = async (what, options, work) => {
      if (this.#closed) throw storeClosed(what);
      checkStart(what, options);
      return work(tables);
    };
    this.lock = new MemoryLockStore(this.#run);
    this.log = log ? new MemoryLogStore(this.#run) : null;
    this.semaphores = log ? new MemorySemaphoreStore(this.#run) : null;
  }

  ping(options: CallOptions = {}): Promise<void> {
    return this.#run("ping", options, () => undefined);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
