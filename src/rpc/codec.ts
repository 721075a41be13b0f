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

/**
 * Throws `invalid_argument` for bytes that are no such message in JSON, and for fields that it does not
 * have: whoever misspells one by hand must hear of it.
 */
export function decodeJson<T extends DescMessage>(schema: T, bytes: Uint8Array): MessageShape<T> {
  let json: JsonValue = null;
  try {
    json = JSON.parse(utf8.decode(bytes)) as JsonValue;
    return fromJson(schema, json);
  } catch (error) {
    const unknown = unknownField(schema, json);
    if (unknown !== undefined) throw new HedgerowError("invalid_argument", unknown);
    const field = fieldAt(error);
    if (field === undefined) throw malformed(schema, "JSON", error);
    const message = `${schema.name}: field ${field} cannot hold what it is given`;
    throw new HedgerowError("invalid_argument", message, { cause: error });
  }
}

/** Name of the field whose value protobuf-es did not take. */
function fieldAt(error: unknown): string | undefined {
  const cause = error instanceof Error ? error.cause : undefined;
  if (!(cause instanceof Error && "field" in cause && typeof cause.field === "function")) return;
  const field: unknown = cause.field();
  return typeof field === "object" && field !== null && "name" in field
    ? String(field.name)
    : undefined;
}

const MAX_SHOWN_NAME = 100;

/** Says which field of the JSON the message, or one within it, does not have. */
function unknownField(schema: DescMessage, json: JsonValue): string | undefined {
  if (json === null || typeof json !== "object" || Array.isArray(json)) return undefined;
  for (const [key, value] of Object.entries(json)) {
    const field = schema.fields.find(({ name, jsonName }) => key === name || key === jsonName);
    if (field === undefined) {
      return `${schema.name} has no field ${JSON.stringify(key.slice(0, MAX_SHOWN_NAME))}`;
    }
    const inside = field.fieldKind === "message" ? unknownField(field.message, value) : undefined;
    if (inside !== undefined) return inside;
  }
  return undefined;
}

const EVERY_FIELD = { alwaysEmitImplicit: true };

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Without the parser's words, which may hold values. */
function malformed(schema: DescMessage, format: string, cause: unknown): HedgerowError {
  return new HedgerowError("invalid_argument", `malformed ${schema.name}: not valid ${format}`, {
    cause,
  });
}
