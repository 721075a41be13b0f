// What a failed call says of itself beside its Connect code. Imports nothing of src.
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { Answer } from "../processes.ts";

export interface Failure {
  /** One of Hedgerow's own codes; Connect's, or "unreachable", where the answer has none. */
  readonly code: string;
  /** With a conflict of a condition: the id of the key's newest version, "" if it has none. */
  readonly current?: string;
}

/** Fields of hedgerow.v1.ErrorDetail. */
const CODE = 1;
const CURRENT = 6;

export function failureOf(answer: Extract<Answer<unknown>, { ok: false }>): Failure {
  const detail = answer.details?.find(({ type }) => type === "hedgerow.v1.ErrorDetail");
  if (detail === undefined) return { code: answer.code };
  const reader = new BinaryReader(Buffer.from(detail.value, "base64"));
  let failure: Failure = { code: answer.code };
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === CODE && wireType === WireType.LengthDelimited) {
      failure = { ...failure, code: reader.string() };
    } else if (field === CURRENT && wireType === WireType.LengthDelimited) {
      failure = { ...failure, current: reader.string() };
    } else {
      reader.skip(wireType, field);
    }
  }
  return failure;
}
