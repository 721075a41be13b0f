import type { Clock } from "../../runtime/runtime.ts";
import { mayTakeOver, rising, soundAge, soundLease, soundToken } from "../judge.ts";
import { markerName } from "../markers.ts";
import type { LockRow, TakeOver, TakeOverResult } from "../ports.ts";

/** A row as its columns have it: a lock's, or a marker's, which has a name and at most a heartbeat. */
export interface LockColumns {
  /** Microseconds; null in a marker. */
  readonly token: number | null;
  readonly writer: string | null;
  /** Milliseconds on the database's clock; -Infinity once given up; null in markers of the Go system. */
  readonly heartbeat: number | null;
  /** Milliseconds; null where somebody wrote the row who knows no such column. */
  readonly leaseMs: number | null;
}

/** A row with nothing but its name. */
export const BARE_ROW: LockColumns = { token: null, writer: null, heartbeat: null, leaseMs: null };

/** The lock table in memory, with markers as in Spanner. Each method is one transaction. */
export class LockTable {
  readonly rows = new Map<string, LockColumns>();
  #lastCommit = 0;

  constructor(private readonly clock: Clock) {}

  /** The time of a commit, in microseconds: greater than that of every commit before. */
  commitMicros(): number {
    this.#lastCommit = rising(this.clock.wallMicros(), this.#lastCommit);
    return this.#lastCommit;
  }

  token(name: string): number | null {
    return this.rows.get(name)?.token ?? null;
  }

  read(name: string): LockRow | null {
    const row = this.rows.get(name);
    if (row === undefined) return null;
    const { writer, heartbeat } = row;
    const token = soundToken(row.token);
    const marked = this.rows.has(markerName(name, token));
    const ageMs = this.clock.now() - (heartbeat ?? Number.NEGATIVE_INFINITY);
    return {
      token,
      writer: writer ?? "",
      beat: `${heartbeat}/${token}${marked ? " marked" : ""}`,
      ageMs: marked ? null : soundAge(ageMs),
      leaseMs: soundLease(row.leaseMs),
    };
  }

  /** Makes the contender the owner, under a token greater than any before. */
  acquire(takeOver: TakeOver): TakeOverResult {
    const { name, writer, leaseMs, expectedToken } = takeOver;
    const row = this.read(name);
    if (!mayTakeOver(row, takeOver)) return { kind: "refused", row };
    this.#deleteOldMarkers(name, 2 * leaseMs);
    this.#lastCommit = Math.max(this.#lastCommit, row?.token ?? 0);
    const token = this.commitMicros();
    const heartbeat = this.clock.now();
    this.rows.set(markerName(name, expectedToken), { ...BARE_ROW, heartbeat });
    this.rows.set(name, { token, writer, heartbeat, leaseMs });
    return { kind: "acquired", token };
  }

  /** Sets the heartbeat to now, or to given up, where the token is `token`; tells whether it was. */
  beat(name: string, token: number, change: "renew" | "release"): boolean {
    const row = this.rows.get(name);
    if (row?.token !== token) return false;
    const heartbeat = change === "renew" ? this.clock.now() : Number.NEGATIVE_INFINITY;
    this.rows.set(name, { ...row, heartbeat });
    return true;
  }

  /**
   * By exact name, those that are that old: whoever meant to insert the same has given up. The Go system's
   * carry no heartbeat, but are older than the token that the row carries now.
   */
  #deleteOldMarkers(name: string, minAgeMs: number): void {
    const stored = this.token(name);
    const token = soundToken(stored);
    const tokenAgeMs = stored === null ? 0 : (this.clock.wallMicros() - token) / 1e3;
    const kept = markerName(name, token);
    for (const [marker, row] of this.rows) {
      const isMarker = row.token === null && row.writer === null && marker !== kept;
      if (!isMarker || !marker.startsWith(`${name}_`)) continue;
      if (!/^\d{1,20}$/.test(marker.slice(name.length + 1))) continue;
      const ageMs = row.heartbeat === null ? tokenAgeMs : this.clock.now() - row.heartbeat;
      if (ageMs >= minAgeMs) this.rows.delete(marker);
    }
  }
}
