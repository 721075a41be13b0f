import type { LockColumns } from "../../../src/store/memory/lock-table.ts";
import type { Prng } from "../../simulation/world/prng.ts";
import { mutateText, text } from "./texts.ts";

// Rows as somebody may write them who keeps to no rules.

const GO_ZERO_TIME = -62_135_596_800_000_000;

/** A lock's row, or a marker's. `nowMs` is the database's clock, `nowMicros` its wall clock. */
export function lockColumns(prng: Prng, nowMs: number, nowMicros: number): LockColumns {
  const some = <T>(...values: T[]): T => prng.pick(values);
  return {
    token: some(
      null,
      0,
      1,
      -1,
      GO_ZERO_TIME,
      nowMicros,
      nowMicros + 1e12,
      2 ** 53 - 1,
      2 ** 53,
      9e18,
    ),
    writer: some(null, "", "10.0.0.2:8080", "somebody else", wellFormed(prng)),
    heartbeat: some(null, nowMs, nowMs - 1e12, nowMs + 1_000, nowMs + 1e12, -Infinity),
    // Another one that may be somebody's is the cluster's: nodes with another do not start.
    leaseMs: some(null, 0, -1, 2_000, 2 ** 40, 2 ** 53),
  };
}

export interface LogRow {
  readonly key: string;
  readonly id: string;
  readonly value: string;
  readonly leader: string;
}

/** A row that looks like a version of the key. */
export function logRow(prng: Prng, key: string): LogRow {
  const id = prng.pick(["-", "", "limit=3", "x".repeat(300), wellFormed(prng)]);
  return { key, id, value: wellFormed(prng), leader: wellFormed(prng) };
}

/** A row that looks like one of the semaphore's: its own, or a permit. */
export function semaphoreRow(prng: Prng, name: string): LogRow {
  const own = `__hedge/semaphore/${name}`;
  const leader = wellFormed(prng);
  if (prng.chance(0.3)) {
    const limit = prng.pick([
      "2",
      "0",
      "-1",
      "",
      "5000000000",
      "1e3",
      " 3",
      "NaN",
      wellFormed(prng),
    ]);
    const value = prng.pick(["delete-on-empty", "10.0.0.2:8080", wellFormed(prng)]);
    return { key: own, id: `limit=${limit}`, value, leader };
  }
  const owner = prng.pick(["", "x".repeat(2_000), "10.0.0.2:8080", "owner", wellFormed(prng)]);
  return { key: `__caller=${owner}`, id: own, value: permitValue(prng), leader };
}

function permitValue(prng: Prng): string {
  const some = (...values: unknown[]) => prng.pick(values);
  const value = JSON.stringify({
    owner: some("owner", null, 7),
    holder: some("10.0.0.2:8080", "", null, {}),
    incarnation: some(1, 1_700_000_000_000, -1, 1.5, 1e300, "7", null),
    grant: some("grant", "", "x".repeat(2_000), 7, null),
    detached: some(true, false, "true", undefined),
  });
  const kind = prng.int(4);
  if (kind === 0)
    return prng.pick(["10.0.0.2:8080", "", "{", "{}", "[]", "null", wellFormed(prng)]);
  return kind === 1 ? mutateText(prng, value).toWellFormed() : value;
}

function wellFormed(prng: Prng): string {
  return text(prng).toWellFormed();
}
