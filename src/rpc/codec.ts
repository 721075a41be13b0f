import {
  create,
  type DescMessage,
  fromBinary,
  fromJson,
  isMessage,
  type JsonValue,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";

/** A message of `schema`, given as one or as its fields. */
export function messageFrom<T extends DescMessage>(
  schema: T,
  given: MessageInitShape<T>,
): MessageShape<T> {
  return isMessage(given, schema) ? given : create(schema, given);
}

/** Throws for fields that the message cannot hold. */
export function encode<T extends DescMessage>(
  schema: T,
  given: MessageInitShape<T>,
): Uint8Array<ArrayBuffer> {
  return toBinary(schema, messageFrom(schema, given));
}

/** With every plain field, also where it is false, zero or empty: scripts ask for them by name. */
export function encodeJson<T extends DescMessage>(
  schema: T,
  given: MessageInitShape<T>,
): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(toJsonString(schema, messageFrom(schema, given), EVERY_FIELD));
}

/** Throws `invalid_argument` for bytes that are no such message. */
export function decode<T extends DescMessage>(schema: T, bytes: Uint8Array): MessageShape<T> {
  try {
    return fromBinary(schema, bytes);
  } catch (error) {
    throw malformed(schema, "protobuf", error);
  }
}

/** Throws `invalid_argument` for bytes that are no such message in JSON. */
export function decodeJson<T extends DescMessage>(schema: T, bytes: Uint8Array): MessageShape<T> {
  try {
    const json = JSON.parse(utf8.decode(bytes)) as JsonValue;
    return fromJson(schema, json, { ignoreUnknownFields: true });
  } catch (error) {
    throw malformed(schema, "JSON", error);
  }
}

const EVERY_FIELD = { alwaysEmitImplicit: true };

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Without the parser's words, which may hold values. */
function malformed(schema: DescMessage, format: string, cause: unknown): HedgerowError {
  return new HedgerowError("invalid_argument", `malformed ${schema.name}: not valid ${format}`, {
    cause,
  });
}
