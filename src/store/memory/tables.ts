import type { Clock } from "../../runtime/runtime.ts";
import { rising } from "../judge.ts";
import type { LockRow, StoredEntry, TakeOver } from "../ports.ts";

interface LockRecord {
  token: number;
  writer: string;
  leaseMs: number;
  /** Milliseconds on the database's clock; null once released. */
  heartbeat: number | null;
}

/** The rows of a database in memory, and the simplest operations on them. All are synchronous. */
export class MemoryTables {
  readonly #locks = new Map<string, LockRecord>();
  /** Versions by key and id; of one key in the order of their timestamps, which is that of insertion. */
  readonly #versions = new Map<string, Map<string, StoredEntry>>();
  #lastToken = 0;
  #lastTimestamp = 0;

  constructor(private readonly clock: Clock) {}

  lockRow(name: string): LockRow | null {
    const record = this.#locks.get(name);
    if (record === undefined) return null;
    const { token, writer, heartbeat, leaseMs } = record;
    return {
      token,
      writer,
      beat: `${heartbeat ?? "released"}/${token}`,
      ageMs: heartbeat === null ? Number.POSITIVE_INFINITY : this.clock.now() - heartbeat,
      leaseMs,
    };
  }

  /** Makes `writer` the owner, under a token greater than any before. */
  takeLock({ name, writer, leaseMs }: TakeOver): number {
    this.#lastToken = rising(this.clock.wallMicros(), this.#lastToken);
    const heartbeat = this.clock.now();
    this.#locks.set(name, { token: this.#lastToken, writer, heartbeat, leaseMs });
    return this.#lastToken;
  }

  /** Sets the heartbeat to now, or to released, where the token is `token`. */
  beat(name: string, token: number, change: "renew" | "release"): boolean {
    const record = this.#locks.get(name);
    if (record?.token !== token) return false;
    record.heartbeat = change === "renew" ? this.clock.now() : null;
    return true;
  }

  deleteLockRow(name: string): void {
    this.#locks.delete(name);
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
