import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { HedgerowError } from "../errors.ts";

/** Of microseconds since the epoch. */
export function timestampOf(micros: number): Timestamp {
  const seconds = Math.floor(micros / 1e6);
  return create(TimestampSchema, {
    seconds: BigInt(seconds),
    nanos: (micros - seconds * 1e6) * 1000,
  });
}

/** Seconds since the epoch at the beginning of the year 1 and at the end of 9999, as protobuf bounds a time. */
const FIRST_SECOND = -62_135_596_800n;
const LAST_SECOND = 253_402_300_799n;

/** Microseconds since the epoch; 0 for none. Throws `outcome_unknown` for an answer's time that is none. */
export function microsOf(timestamp: Timestamp | undefined): number {
  if (timestamp === undefined) return 0;
  const { seconds, nanos } = timestamp;
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND || nanos < 0 || nanos >= 1e9) {
    throw new HedgerowError(
      "outcome_unknown",
      "the answer cannot be read: it has a time that is none",
    );
  }
  return Number(seconds) * 1e6 + Math.floor(nanos / 1000);
}
