import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** Of microseconds since the epoch. */
export function timestampOf(micros: number): Timestamp {
  const seconds = Math.floor(micros / 1e6);
  return create(TimestampSchema, {
    seconds: BigInt(seconds),
    nanos: (micros - seconds * 1e6) * 1000,
  });
}

/** Microseconds since the epoch; 0 for none. */
export function microsOf(timestamp: Timestamp | undefined): number {
  if (timestamp === undefined) return 0;
  return Number(timestamp.seconds) * 1e6 + Math.floor(timestamp.nanos / 1000);
}
