import type { CallOptions, Clock } from "../../runtime/runtime.ts";
import type { Queries } from "./information-schema.ts";
import { microsOf } from "./values.ts";

export interface Measured {
  /** Of one query, in milliseconds. */
  readonly roundTripMs: number;
  /** How far the database's clock is ahead of this machine's wall clock, in milliseconds; below 0: behind. */
  readonly aheadMs: number;
}

/** Asks the database for its time, twice: the first answer includes connecting. Throws as every query does. */
export async function measure(
  connection: Queries,
  clock: Clock,
  options: CallOptions = {},
): Promise<Measured> {
  await askTime(connection, options);
  const sentMicros = clock.wallMicros();
  const sent = clock.now();
  const timeMicros = await askTime(connection, options);
  const roundTripMs = clock.now() - sent;
  return { roundTripMs, aheadMs: (timeMicros - sentMicros) / 1_000 - roundTripMs / 2 };
}

async function askTime(connection: Queries, options: CallOptions): Promise<number> {
  const [[time] = []] = await connection.query("store", options, {
    sql: "SELECT CURRENT_TIMESTAMP",
  });
  return microsOf(time) ?? 0;
}
