import { durationMs } from "@bufbuild/protobuf/wkt";
import type { SpillStatus, SpillTier } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import { table } from "../output.ts";

/** For a question beside a stream, in milliseconds. */
export const STATS_TIMEOUT_MS = 5_000;

/** In the order in which they are filled, with what they are called. */
export const TIERS = [
  ["localMemory", "local memory"],
  ["localDisk", "local disk"],
  ["remoteMemory", "remote memory"],
  ["remoteDisk", "remote disk"],
] as const;

export type Tiers = Readonly<Record<(typeof TIERS)[number][0], { records: number; bytes: number }>>;

/** As `--json` prints it. */
export interface Status {
  readonly name: string;
  readonly records: number;
  readonly bytes: number;
  readonly tiers: Tiers;
  readonly limits: {
    readonly memoryBytes: number;
    readonly diskBytes: number;
    readonly expiryMs: number;
  };
  readonly references: number;
  readonly lost: number;
  readonly outOfReach: number;
}

export function statusOf(status: SpillStatus): Status {
  const { name, records, bytes, limits, references, lost, outOfReach } = status;
  const { memoryBytes = 0n, diskBytes = 0n, expiry } = limits ?? {};
  return {
    name,
    records: Number(records),
    bytes: Number(bytes),
    tiers: tiersOf(status),
    limits: {
      memoryBytes: Number(memoryBytes),
      diskBytes: Number(diskBytes),
      expiryMs: expiry === undefined ? 0 : durationMs(expiry),
    },
    references,
    lost: Number(lost),
    outOfReach: Number(outOfReach),
  };
}

export function tiersOf(status: SpillStatus | undefined): Tiers {
  return {
    localMemory: numbers(status?.localMemory),
    localDisk: numbers(status?.localDisk),
    remoteMemory: numbers(status?.remoteMemory),
    remoteDisk: numbers(status?.remoteDisk),
  };
}

export function tierTable(tiers: Tiers): string {
  const rows = TIERS.map(([tier, title]) => [
    title,
    String(tiers[tier].records),
    String(tiers[tier].bytes),
  ]);
  return table([["TIER", "RECORDS", "BYTES"], ...rows]);
}

function numbers(tier: SpillTier | undefined) {
  return { records: Number(tier?.records ?? 0), bytes: Number(tier?.bytes ?? 0) };
}
