import type { Clock } from "../../runtime/runtime.ts";
import { rising } from "../judge.ts";
import type { StoredEntry } from "../ports.ts";
import { LockTable } from "./lock-table.ts";

/** The rows of a database in memory, and the simplest operations on them. All are synchronous. */
export class MemoryTables {
  readonly locks: LockTable;
  /** Versions by key and id; of one key in the order of their timestamps, which is that of insertion. */
  readonly #versions = new Map<string, Map<string, StoredEntry>>();
  #lastTimestamp = 0;

  constructor(private readonly clock: Clock) {
    this.locks = new LockTable(clock);
  }

  keys(): Iterable<string> {
    return this.#versions.keys();
  }

  /** Versions of a key, oldest first. */
  versions(key: string): StoredEntry[] {
    return [...(this.#versions.get(key)?.values() ?? [])];
  }

  find(key: string, id: string): StoredEntry | undefined {
    return this.#versions.get(key)?.get(id);
  }

  /** Adds a row as the newest of the table, in place of the one of this key and id. */
  insert(key: string, id: string, value: string, leader: string): number {
    const timestamp = rising(this.clock.wallMicros(), this.#lastTimestamp);
    this.#lastTimestamp = timestamp;
    const versions = this.#versions.get(key) ?? new Map<string, StoredEntry>();
    versions.delete(id);
    versions.set(id, { key, id, value, leader, timestamp });
    this.#versions.set(key, versions);
    return timestamp;
  }

  /** Changes a row's value in its place. */
  setValue(key: string, id: string, value: string): void {
    const version = this.find(key, id);
    if (version !== undefined) this.#versions.get(key)?.set(id, { ...version, value });
  }

  remove(key: string, id: string): boolean {
    const versions = this.#versions.get(key);
    const removed = versions?.delete(id) ?? false;
    if (versions?.size === 0) this.#versions.delete(key);
    return removed;
  }
}
