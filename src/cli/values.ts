import * as z from "zod/mini";
import { parseDuration } from "../node/duration.ts";
import { parseSize } from "../node/size.ts";
import { MESSAGE_LIMIT_RANGE } from "../rpc/limits.ts";
import { MAX_NAME_BYTES } from "../store/limits.ts";
import { storeProblem } from "../store/open.ts";

// Schemas from the text of a flag to its value. Every message says what to give instead.

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const MAX_DURATION_MS = 24 * HOUR_MS;

/** A schema for text that `read` understands; `undefined` means that it does not. */
export function readable<T>(mend: string, read: (text: string) => T | undefined) {
  return z.transform((text: string, context): T => {
    const value = read(text);
    if (value !== undefined) return value;
    context.issues.push({ code: "custom", message: mend, input: text });
    return z.NEVER;
  });
}

/** `30s`, `500ms`, `2m`, `1h`, in milliseconds; 24 hours at most. */
export function duration(minMs: number) {
  return readable(
    "give a number with its unit, as in 500ms, 30s or 2m",
    (text) => parseDuration(text) ?? undefined,
  ).check(
    z.refine((ms) => ms >= minMs, `must be at least ${durationText(minMs)}`),
    z.refine((ms) => ms <= MAX_DURATION_MS, `must be at most ${durationText(MAX_DURATION_MS)}`),
  );
}

/** As `duration`, of any length from a minute up; null for the empty text. */
export const optionalAge = readable(
  "give a number with its unit, of a minute at least, as in 90m or 720h, or nothing",
  (text) => {
    if (text === "") return null;
    const ms = parseDuration(text);
    return ms !== null && ms >= 60_000 ? ms : undefined;
  },
);

/** `30s`, as `duration` reads it. */
export function durationText(ms: number): string {
  if (ms % HOUR_MS === 0) return `${ms / HOUR_MS}h`;
  if (ms % MINUTE_MS === 0) return `${ms / MINUTE_MS}m`;
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}

/** As `duration`; null for the empty text. */
export function optionalDuration(minMs: number) {
  const range = `${durationText(minMs)} to ${durationText(MAX_DURATION_MS)}`;
  const mend = `give a number with its unit, ${range}, as in 500ms or 30s`;
  return readable(mend, (text) => {
    if (text === "") return null;
    const ms = parseDuration(text);
    return ms !== null && ms >= minMs && ms <= MAX_DURATION_MS ? ms : undefined;
  });
}

/** Bytes of the largest message. */
export const messageSize = readable("give a size from 1KiB to 64MiB, as in 512KiB", (text) => {
  const bytes = parseSize(text);
  const { min, max } = MESSAGE_LIMIT_RANGE;
  return bytes !== null && bytes >= min && bytes <= max ? bytes : undefined;
});

/** `256MB`, `1GiB` or `150000`, in bytes; null for the empty text. */
export const optionalSize = readable("give a size, as in 256MB, 1GiB or 150000", (text) =>
  text === "" ? null : (parseSize(text) ?? undefined),
);

/** A whole number from `min` to `max`, both included. */
export function integer(min: number, max: number) {
  return readable(`give a whole number from ${min} to ${max}`, (text) => {
    const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? value : undefined;
  });
}

/** As `integer`; null for the empty text. */
export function optionalInteger(min: number, max: number) {
  return readable(`give a whole number from ${min} to ${max}, or nothing`, (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return text === "" ? null : value >= min && value <= max ? value : undefined;
  });
}

/** One of some words. */
export function word<const T extends readonly [string, ...string[]]>(words: T) {
  const listed =
    words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
  return readable(`give ${listed}`, (text) => words.find((known) => known === text) as T[number]);
}

/** A switch: there or not there. */
export const yesNo = readable("give true or false", (text) =>
  text === "true" ? true : text === "false" || text === "" ? false : undefined,
);

/** `:port` or `host:port`, with an IPv6 address in brackets. */
export const listenAddress = readable("give host:port, or :port for all IPv4 interfaces", (text) =>
  isAddress(text, "host optional") ? text : undefined,
);

/** As `listenAddress`; null for the empty text: nothing listens. */
export const optionalListenAddress = readable(
  "give host:port, or :port for all IPv4 interfaces, or nothing for none",
  (text) => (text === "" ? null : isAddress(text, "host optional") ? text : undefined),
);

/** As `listenAddress`; `:port` and the empty text stand for this machine's own address. */
export const peerAddress = readable(
  "give host:port, or :port (or nothing) for this machine's own address",
  (text) => (text === "" || isAddress(text, "host optional") ? text : undefined),
);

/** `host:port,host:port` */
export const peerList = list("give host:port, several joined by commas", (text) =>
  isAddress(text, "host needed"),
);

/** Origins as browsers send them. */
export const originList = list(
  "give origins such as https://example.com, several joined by commas",
  (text) => URL.canParse(text) && new URL(text).origin === text,
);

/** Host names or IPv4 addresses without a port, in lower case. */
export const hostList = list(
  "give host names in lower case without a port, as in a.example.com, several joined by commas",
  (text) => /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/.test(text),
);

function list(mend: string, isItem: (text: string) => boolean) {
  return readable(mend, (text): readonly string[] | undefined => {
    const items = text
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "");
    return items.every(isItem) ? items : undefined;
  });
}

function isAddress(text: string, host: "host optional" | "host needed"): boolean {
  const parts = /^(\[[0-9a-fA-F:.]+\]|[\w.-]+)?:(\d{1,5})$/.exec(text);
  if (parts === null || Number(parts[2]) > 65535) return false;
  return parts[1] !== undefined || host === "host optional";
}

const isTable = (text: string) => /^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(text);

export const tableName = readable(
  "give letters, digits and _, not beginning with a digit, at most 128",
  (text) => (isTable(text) ? text : undefined),
);

/** null for the empty text: there is no such table. */
export const optionalTableName = readable(
  "give letters, digits and _, not beginning with a digit, at most 128, or nothing for no log",
  (text) => (text === "" ? null : isTable(text) ? text : undefined),
);

/** A name of 1 to 1024 bytes. */
export const name = readable(`give 1 to ${MAX_NAME_BYTES} bytes`, (text) =>
  text !== "" && isShort(text) ? text : undefined,
);

/** As `name`; null for the empty text. */
export const optionalName = readable(`give at most ${MAX_NAME_BYTES} bytes`, (text) =>
  text === "" ? null : isShort(text) ? text : undefined,
);

function isShort(text: string): boolean {
  return Buffer.byteLength(text) <= MAX_NAME_BYTES;
}

/** Whatever is typed: the node judges it. */
export const anyText = z.string();

export const optionalPath = readable("give the path of a file", (text) => text || null);

/** `NAME=TOKEN`, where the name may hold `=` too; null for the empty text. */
export const fence = readable("give the lock's name, =, and the token that it gave", (text) => {
  if (text === "") return null;
  const [, name, token] = /^(.+)=(\d+)$/s.exec(text) ?? [];
  return name === undefined || token === undefined ? undefined : { name, token };
});

/** `sqlite:PATH` or `spanner:projects/P/instances/I/databases/D` */
export const storeUrl = checked(storeProblem);

/** As `storeUrl`; null for the empty text. */
export const optionalStoreUrl = z.pipe(
  checked((text) => (text === "" ? null : storeProblem(text))),
  z.transform((text) => (text === "" ? null : text)),
);

/** A schema for text in which `problemOf` finds nothing wrong; what it finds is the message. */
function checked(problemOf: (text: string) => string | null) {
  return z.string().check(({ value, issues }) => {
    const message = problemOf(value);
    if (message !== null) issues.push({ code: "custom", message, input: value });
  });
}

const SERVER_MEND = "give a URL such as http://127.0.0.1:9090, or several joined by commas";

/** `http://host:port` of each server, without a path; one at least. */
export const serverList = readable(SERVER_MEND, (text): readonly string[] | undefined => {
  const origins = text.split(",").map((item) => serverOrigin(item.trim()));
  return origins.every((origin) => origin !== null) ? origins : undefined;
});

function serverOrigin(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const plain = url.pathname === "/" && url.search === "" && url.hash === "" && url.username === "";
  return plain && (url.protocol === "http:" || url.protocol === "https:") ? url.origin : null;
}

/** Where a service takes messages; null for the empty text. */
export const callbackUrl = readable(
  "give a URL such as http://127.0.0.1:9000/send, without a user and a fragment",
  (text) => {
    if (text === "") return null;
    if (!URL.canParse(text)) return undefined;
    const url = new URL(text);
    const { protocol, username, password, hash } = url;
    if (protocol !== "http:" && protocol !== "https:") return undefined;
    return username + password + hash === "" ? url : undefined;
  },
);
