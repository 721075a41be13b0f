import { BARE_ROW, type LockTable } from "../../../src/store/memory/lock-table.ts";
import { markerName } from "../../../src/store/markers.ts";
import type { Scheduler } from "./scheduler.ts";
import type { CommitObserver } from "./store.ts";

/** What the Go system's contender (spindle) sends to the database. Each method is one of its transactions. */
export class GoStatements {
  constructor(
    private readonly locks: LockTable,
    private readonly scheduler: Scheduler,
    private readonly observer: CommitObserver,
    /** Of the lock's row. */
    private readonly name: string,
    /** `host:port` of the contender. */
    readonly writer: string,
  ) {}

  /** `select timestamp_diff(current_timestamp(), heartbeat, millisecond), token from ...`; nulls are 0. */
  check(): { readonly token: number | null; readonly diffMs: number } {
    const heartbeat = this.locks.rows.get(this.name)?.heartbeat ?? this.scheduler.now;
    return { token: this.readToken(), diffMs: Math.trunc(this.scheduler.now - heartbeat) };
  }

  /** `select token from ...`: null where there is no row. HasLock compares it with the contender's own. */
  readToken(): number | null {
    return this.locks.token(this.name);
  }

  /** `insert ... (name, heartbeat, token, writer)`: the token, or null where there is a row. */
  insertRow(): number | null {
    if (this.locks.rows.has(this.name)) return null;
    const token = this.locks.commitMicros();
    this.#write(token);
    return token;
  }

  /** `insert ... (name)` of the judged token's marker: its commit time, or null where it stands already. */
  insertMarker(judged: number | null): number | null {
    const marker = markerName(this.name, judged);
    if (this.locks.rows.has(marker)) return null;
    this.locks.rows.set(marker, BARE_ROW);
    this.observer.marked(judged, this.scheduler.now);
    return this.locks.commitMicros();
  }

  /** `update ... set heartbeat = now, token, writer where name = ...`: on no other condition. */
  update(token: number): void {
    if (this.locks.rows.has(this.name)) this.#write(token);
  }

  /**
   * `update ... set heartbeat = now where name = ...`: whosever token the row carries. With `deletesMarkers`
   * also `delete ... where starts_with(name, '{name}_')`.
   */
  heartbeat(deletesMarkers = false): void {
    const { locks, name } = this;
    const row = locks.rows.get(name);
    if (row !== undefined) locks.rows.set(name, { ...row, heartbeat: this.scheduler.now });
    if (!deletesMarkers) return;
    for (const other of locks.rows.keys()) {
      if (other.startsWith(`${name}_`)) locks.rows.delete(other);
    }
    this.observer.unmarked();
  }

  #write(token: number): void {
    const { name, writer } = this;
    const row = this.locks.rows.get(name) ?? BARE_ROW;
    this.locks.rows.set(name, { ...row, token, writer, heartbeat: this.scheduler.now });
    this.observer.overwritten(token, writer, this.scheduler.now);
  }
}
