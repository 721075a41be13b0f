import { create } from "@bufbuild/protobuf";
import type { LeaderHint } from "../errors.ts";
import { type LeaderHint as WireHint, LeaderHintSchema } from "../gen/hedgerow/v1/peer_pb.ts";

export function hintToWire(hint: LeaderHint | null): WireHint | undefined {
  if (hint === null) return undefined;
  return create(LeaderHintSchema, { ...hint, token: BigInt(hint.token) });
}

/** null for no hint, and for one that no node gives. */
export function hintFromWire(hint: WireHint | undefined): LeaderHint | null {
  if (hint === undefined) return null;
  const token = Number(hint.token);
  if (!Number.isSafeInteger(token) || token <= 0 || hint.address === "") return null;
  return { address: hint.address, token, released: hint.released };
}
