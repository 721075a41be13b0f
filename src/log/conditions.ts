import type { MessageInitShape } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import type { AppendRequest, AppendRequestSchema } from "../gen/hedgerow/v1/peer_pb.ts";
import { checkConditions } from "../store/check.ts";
import { type AppendOutcome, type Fence, NO_APPEND_ID, type NewEntry } from "../store/ports.ts";

/** An entry on its way to who writes it. */
export type PutEntry = Omit<NewEntry, "leader">;

/** On what a put depends, as users say it. */
export interface PutConditions {
  readonly ifVersion?: string | undefined;
  readonly fence?: { readonly name: string; readonly token: string } | undefined;
}

type Conditions = Pick<NewEntry, "ifVersion" | "fence">;

/** Throws `invalid_argument` or `too_large`; null where there are none. */
export function conditionsOf({ ifVersion, fence }: PutConditions): Conditions | null {
  if (ifVersion === undefined && fence === undefined) return null;
  const conditions = {
    ifVersion,
    ...(fence !== undefined && { fence: { name: fence.name, token: parseToken(fence.token) } }),
  };
  checkConditions(conditions);
  return conditions;
}

function parseToken(text: string): number {
  const token = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (Number.isSafeInteger(token) && token > 0) return token;
  throw new HedgerowError(
    "invalid_argument",
    `fence token ${JSON.stringify(text.slice(0, 40))}: give the decimal number that the lock gave`,
  );
}

/** The entry as it is asked of the leader. */
export function entryToWire(entry: PutEntry): MessageInitShape<typeof AppendRequestSchema> {
  const { key, value, id, ifVersion, fence } = entry;
  if (ifVersion === undefined && fence === undefined) return { key, value, id };
  return {
    key,
    value,
    id,
    ...(ifVersion !== undefined && { ifVersion }),
    ...(fence !== undefined && { fenceName: fence.name, fenceToken: BigInt(fence.token) }),
  };
}

export function entryFromWire(request: AppendRequest): PutEntry {
  const { key, value, id, ifVersion, fenceName, fenceToken } = request;
  if (ifVersion === undefined && fenceName === "") return { key, value, id };
  const fence: Fence = { name: fenceName, token: Number(fenceToken) };
  return { key, value, id, ifVersion, ...(fenceName !== "" && { fence }) };
}

/** Why an entry was not written. `repeated`: the same append may have written it before. */
export function refusalError(
  { key, id, ifVersion, fence }: NewEntry,
  outcome: Exclude<AppendOutcome, { kind: "written" }>,
  repeated: boolean,
): HedgerowError {
  // Of an entry with an id of its own the store would know.
  if (repeated && id === NO_APPEND_ID) return unknownOutcome();
  switch (outcome.kind) {
    case "conflict": {
      const message = `put: id ${JSON.stringify(id)} exists for this key with another value: use a new id`;
      return new HedgerowError("conflict", message);
    }
    case "other-version": {
      const { current } = outcome;
      const message = `put: ${named(current)} of ${JSON.stringify(key)}, not ${wanted(ifVersion)}: get it and decide anew`;
      return new HedgerowError("conflict", message, { current });
    }
    case "fenced": {
      const name = JSON.stringify(fence?.name);
      const message = `put: the lock ${name} has another token than ${fence?.token}; nothing was written: take the lock anew`;
      return new HedgerowError("fenced", message);
    }
  }
}

function named(current: string): string {
  return current === ""
    ? "there is no version"
    : `${JSON.stringify(current)} is the newest version`;
}

function wanted(ifVersion: string | undefined): string {
  return ifVersion === "" ? "none" : JSON.stringify(ifVersion);
}

export function unknownOutcome(): HedgerowError {
  const message = "put: the store did not say whether it was committed; get tells";
  return new HedgerowError("outcome_unknown", message);
}
