import { HedgerowError } from "../errors.ts";
import { NO_APPEND_ID } from "./ports.ts";

/** The same on every store, in bytes of UTF-8. */
export const MAX_NAME_BYTES = 1024;
export const MAX_KEY_BYTES = 4096;
export const MAX_VALUE_BYTES = 2 * 1024 * 1024;
export const MAX_ID_BYTES = 128;
/** Entries of one append. */
export const MAX_BATCH_ENTRIES = 1000;
/** Bytes of a message to send or broadcast, and of its reply. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;

const RESERVED_PREFIXES = ["__hedge/", "__hedgerow/", "__caller="];

/** The name of a lock or semaphore. Throws `invalid_argument` or `too_large`. */
export function checkName(name: string, what = "name"): void {
  checkText(what, name, MAX_NAME_BYTES);
  if (name === "") throw new HedgerowError("invalid_argument", `${what} is empty: give one`);
}

/** Whether `checkName` takes it. */
export function isName(name: string): boolean {
  return name !== "" && Buffer.byteLength(name) <= MAX_NAME_BYTES && name.isWellFormed();
}

/** What stands before the name of a node's own lock in its row, as in the Go system. */
export const LOCK_ROW_PREFIX = "hedge/spindle/lockname/";

/** The name of a lock's row: the limit is that of the lock's name, whatever stands before it. */
export function checkLockRow(row: string): void {
  const own = row.startsWith(LOCK_ROW_PREFIX);
  checkName(own ? row.slice(LOCK_ROW_PREFIX.length) : row, "lock name");
}

/** A key as users give it: the prefixes of Hedgerow's own rows are refused. */
export function checkUserKey(key: string): void {
  checkKey(key);
  const prefix = reservedPrefix(key);
  if (prefix !== undefined) {
    throw new HedgerowError(
      "invalid_argument",
      `keys that begin with ${prefix} are Hedgerow's own: choose another key`,
    );
  }
}

export function isReservedKey(key: string): boolean {
  return reservedPrefix(key) !== undefined;
}

function reservedPrefix(key: string): string | undefined {
  return RESERVED_PREFIXES.find((reserved) => key.startsWith(reserved));
}

/** A key as stores take it. */
export function checkKey(key: string): void {
  checkText("key", key, MAX_KEY_BYTES);
  if (key === "") throw new HedgerowError("invalid_argument", "key is empty: give one");
}

export function checkValue(value: string): void {
  checkText("value", value, MAX_VALUE_BYTES);
}

/** The id of an appended entry. */
export function checkEntryId(id: string): void {
  checkText("id", id, MAX_ID_BYTES);
  if (id === "" || id === NO_APPEND_ID || id.startsWith("limit=")) {
    throw new HedgerowError(
      "invalid_argument",
      `id must be 1 to ${MAX_ID_BYTES} bytes, not - and not limit=...`,
    );
  }
}

/** The id of a version that is there, as somebody names it: an appended entry's, or that of the `-` row. */
export function checkVersionId(id: string): void {
  if (id !== NO_APPEND_ID) checkEntryId(id);
}

/** `what` as it stands in the error, as in "message". */
export function checkBytes(what: string, bytes: Uint8Array, maxBytes: number): void {
  if (bytes.length > maxBytes) throw tooLarge(what, bytes.length, maxBytes);
}

function checkText(what: string, text: string, maxBytes: number): void {
  // A UTF-16 unit takes one to three bytes of UTF-8: most texts are judged without counting.
  if (
    text.length > maxBytes ||
    (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes)
  ) {
    throw tooLarge(what, Buffer.byteLength(text), maxBytes);
  }
  if (!text.isWellFormed()) {
    throw new HedgerowError(
      "invalid_argument",
      `${what} is not well-formed Unicode: encode it as UTF-8`,
    );
  }
}

function tooLarge(what: string, bytes: number, maxBytes: number): HedgerowError {
  return new HedgerowError(
    "too_large",
    `${what} is ${bytes} bytes, the limit is ${maxBytes}: shorten it`,
  );
}
