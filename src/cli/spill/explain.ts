import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationMs, DurationSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { HedgerowError, type LostRecords } from "../../errors.ts";
import type { SpillLimitsSchema } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import { fromConnectError } from "../../rpc/errors.ts";
import type { HedgerowClient } from "../client.ts";
import { durationText } from "../values.ts";
import { STATS_TIMEOUT_MS, type Status, statusOf } from "./status.ts";

export type Limits = MessageInitShape<typeof SpillLimitsSchema>;

/** Throws the error of a write, in words of the command line. */
export async function explainWrite(
  client: HedgerowClient,
  name: string,
  given: Limits,
  error: unknown,
): Promise<never> {
  const known = knownOf(error);
  if (known?.code === "canceled") {
    const rest = `the lines that were taken stay, and "hedgerow spill stats ${name}" counts them`;
    throw new HedgerowError("canceled", `cancelled: ${rest}`, { cause: error });
  }
  if (known?.code === "stopped") {
    throw stopped(name, "write it anew at another node, named by --server", error);
  }
  if (known?.code === "data_lost") throw withCommand(known, `hedgerow spill close ${name}`);
  if (known?.code !== "other_limit") throw error;
  const { stores } = await client
    .spillStats({ name }, { timeoutMs: STATS_TIMEOUT_MS })
    .catch(() => {
      throw error;
    });
  const [store] = stores.map(statusOf);
  if (store === undefined) throw error;
  const other = otherFlag(store.limits, given);
  if (other === null) throw error;
  const [flag, has] = other;
  const mend = `leave ${flag} out, or free the store with "hedgerow spill close ${name}"`;
  throw new HedgerowError("other_limit", `spill store ${name} lives with ${flag} ${has}: ${mend}`);
}

/** The error of a read that has come to record `next`, in words of the command line. */
export function explainedRead(name: string, next: number, error: unknown): unknown {
  const known = knownOf(error);
  const readOn = (from: number) => `hedgerow spill read ${name} --from ${from}`;
  switch (known?.code) {
    case "canceled":
      return new HedgerowError("canceled", `cancelled: "${readOn(next)}" reads on`, {
        cause: error,
      });
    case "stopped":
      return stopped(name, "there is nothing to read any more", error);
    case "data_lost":
    case "out_of_reach":
      return withCommand(known, readOn(known.lost?.to ?? next));
    default:
      return error;
  }
}

/** The records that are gone for good, behind which one may read on; null if the error is another one. */
export function lostOf(error: unknown): LostRecords | null {
  const known = knownOf(error);
  return known?.code === "data_lost" ? (known.lost ?? null) : null;
}

function knownOf(error: unknown): HedgerowError | null {
  if (error instanceof ConnectError) return fromConnectError(error);
  return error instanceof HedgerowError ? error : null;
}

function stopped(name: string, mend: string, cause: unknown): HedgerowError {
  const message = `the node is stopping, and spill store ${name} ends with it, its records too: ${mend}`;
  return new HedgerowError("stopped", message, { cause });
}

/** The mend that the message ends with, as it is typed. */
function withCommand({ code, message, lost }: HedgerowError, command: string): HedgerowError {
  return new HedgerowError(code, `${message} ("${command}")`, { lost });
}

/** The first flag that says something else than the store's limit, and that limit. */
function otherFlag(
  { memoryBytes, diskBytes, expiryMs }: Status["limits"],
  given: Limits,
): readonly [flag: string, limit: string] | null {
  const is = (value: bigint | undefined, limit: number) =>
    value === undefined || Number(value) === limit;
  if (!is(given.memoryBytes, memoryBytes)) return ["--memory", String(memoryBytes)];
  if (!is(given.diskBytes, diskBytes)) return ["--disk", String(diskBytes)];
  const { expiry } = given;
  if (expiry === undefined || durationMs(create(DurationSchema, expiry)) === expiryMs) return null;
  return ["--expiry", durationText(expiryMs)];
}
