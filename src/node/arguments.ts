import { HedgerowError } from "../errors.ts";

// What users of the library pass, who may have no types: checked before anything is done. Ranges and limits are checked
// where they are known; here it is seen to that each value is of the kind that it is said to be.

/** What may be given, as the error's mend; null: what was given is that. */
type Check = (given: unknown) => string | null;

/** The options of a method, by name. Each may be left out, or undefined. */
export type KnownOptions = Readonly<Record<string, Check>>;

const kind = (mend: string, is: (given: unknown) => boolean): Check => {
  return (given) => (is(given) ? null : mend);
};

export const text = kind("a string", (given) => typeof given === "string");
export const texts = kind(
  "an array of strings",
  (given) => Array.isArray(given) && given.every((each) => typeof each === "string"),
);
export const bytes = kind(
  "a string or a Uint8Array",
  (given) => typeof given === "string" || given instanceof Uint8Array,
);
export const yesNo = kind("true or false", (given) => typeof given === "boolean");
/** A text or bytes alone would be sent by the character, or by the byte. */
export const messages = kind(
  "an iterable of strings and Uint8Arrays, such as an array or an async generator",
  (given) =>
    typeof given === "object" &&
    given !== null &&
    !(given instanceof Uint8Array) &&
    (Symbol.asyncIterator in given || Symbol.iterator in given),
);
/** Infinity is one. */
export const number = kind(
  "a number",
  (given) => typeof given === "number" && !Number.isNaN(given),
);
export const wholeNumber = kind("a whole number", Number.isSafeInteger);
export const callback = kind("a function", (given) => typeof given === "function");
export const peerState = kind(
  '"viewer", "participant" or "terminating"',
  (given) => given === "viewer" || given === "participant" || given === "terminating",
);
const milliseconds = kind("a number of milliseconds", (given) => number(given) === null);
const signal = kind("an AbortSignal", (given) => given instanceof AbortSignal);
const lockClaim = kind(
  "{ name, token } of a held lock, two strings",
  (given) =>
    isObject(given) &&
    text(Reflect.get(given, "name")) === null &&
    text(Reflect.get(given, "token")) === null,
);

const metadata = kind(
  "an object of strings",
  (given) => isObject(given) && Object.values(given).every((each) => typeof each === "string"),
);

/** What every call takes that waits. */
export const CALL_OPTIONS = { timeoutMs: milliseconds, signal } as const;
export const PUT_OPTIONS = {
  ...CALL_OPTIONS,
  noAppend: yesNo,
  directWrite: yesNo,
  id: text,
  ifVersion: text,
  fence: lockClaim,
} as const;
export const GET_OPTIONS = { ...CALL_OPTIONS, limit: wholeNumber } as const;
export const WATCH_OPTIONS = { fromId: text, signal } as const;
export const SEND_TO_LEADER_OPTIONS = { ...CALL_OPTIONS, retries: number } as const;
export const BROADCAST_OPTIONS = { ...CALL_OPTIONS, skipSelf: yesNo, onlySendTo: texts } as const;
export const STREAM_OPTIONS = { ...CALL_OPTIONS, metadata } as const;
export const STREAM_BROADCAST_OPTIONS = {
  ...STREAM_OPTIONS,
  skipSelf: yesNo,
  onlySendTo: texts,
} as const;
export const LOCK_OPTIONS = { leaseMs: milliseconds } as const;
export const PERMIT_OPTIONS = { ...CALL_OPTIONS, owner: text, detached: yesNo } as const;
export const SPILL_LIMITS = {
  memoryBytes: number,
  diskBytes: number,
  expiryMs: milliseconds,
} as const;
export const OBSERVE_OPTIONS = { participantsOnly: yesNo } as const;

/** Throws `invalid_argument` where `given` is not what `check` wants; `what` names it, as in "put: key". */
export function checkArgument(what: string, given: unknown, check: Check): void {
  const mend = check(given);
  if (mend !== null) throw invalid(`${what} is ${named(given)}: give ${mend}`);
}

/** Throws `invalid_argument` for options that are none, unknown ones, and values of another kind. */
export function checkOptions(method: string, given: unknown, known: KnownOptions): void {
  if (given === undefined) return;
  if (!isObject(given)) {
    throw invalid(`${method}: options are ${named(given)}: give an object with ${listed(known)}`);
  }
  for (const name in given) {
    const check = Object.hasOwn(known, name) ? known[name] : undefined;
    if (check === undefined) {
      throw invalid(`${method}: no option ${JSON.stringify(name)}: there are ${listed(known)}`);
    }
    const value: unknown = Reflect.get(given, name);
    if (value !== undefined) checkArgument(`${method}: ${name}`, value, check);
  }
}

function isObject(given: unknown): given is object {
  return typeof given === "object" && given !== null && !Array.isArray(given);
}

/** What was given, never its content: that may be a value, which is not told to anybody. */
function named(given: unknown): string {
  if (given === null || given === undefined || Number.isNaN(given)) return String(given);
  if (Array.isArray(given)) return "an array";
  return typeof given === "object" ? "an object" : `a ${typeof given}`;
}

function listed(known: KnownOptions): string {
  return Object.keys(known).join(", ");
}

function invalid(message: string): HedgerowError {
  return new HedgerowError("invalid_argument", message);
}
