import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationMs, DurationSchema } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { HedgerowError } from "../../errors.ts";
import type { SpillLimitsSchema } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import { fromConnectError } from "../../rpc/errors.ts";
import type { HedgerowClient } from "../client.ts";
import { durationText } from "../values.ts";
import { STATS_TIMEOUT_MS, type Status, statusOf } from "./status.ts";

export type Limits = MessageInitShape<typeof SpillLimitsSchema>;

/** Throws the error of a write: of limits that are not the store's, and of Ctrl-C, one in words of the command line. */
export async function explain(
  client: HedgerowClient,
  name: string,
  given: Limits,
  error: unknown,
): Promise<never> {
  const code = error instanceof ConnectError ? fromConnectError(error).code : null;
  if (code === "canceled") {
    const rest = `the lines that were taken stay, and "hedgerow spill stats ${name}" counts them`;
    throw new HedgerowError(code, `cancelled: ${rest}`, { cause: error });
  }
  if (code !== "other_limit") throw error;
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
