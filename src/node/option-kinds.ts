import * as z from "zod/mini";
import { messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { checkName } from "../store/limits.ts";
import { parseDuration } from "./duration.ts";
import { parseSize } from "./size.ts";

// What options of `Hedgerow.start` may be. Every message says what to give instead.

export const duration = z.pipe(
  z.union([z.number(), z.string()]),
  z.transform((given: number | string, context): number => {
    const ms = typeof given === "number" ? given : parseDuration(given);
    if (ms !== null && Number.isFinite(ms)) return ms;
    const message = `${given} is no duration: write one such as 30s or 500ms`;
    context.issues.push({ code: "custom", message, input: given });
    return z.NEVER;
  }),
);

export const size = z.pipe(
  z.union([z.number(), z.string()]),
  z.transform((given: number | string, context): number => {
    const bytes = typeof given === "number" ? given : parseSize(given);
    if (bytes !== null && Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
    const message = `${given} is no size: write one such as 256MB or 1GiB`;
    context.issues.push({ code: "custom", message, input: given });
    return z.NEVER;
  }),
);

export const atLeast = (minMs: number) =>
  duration.check(
    z.refine((ms) => ms >= minMs && ms <= 86_400_000, `must be from ${minMs / 1e3}s to 24h`),
  );

export const name = z.string().check((context) => {
  try {
    checkName(context.value);
  } catch (error) {
    context.issues.push({ code: "custom", message: messageOf(error), input: context.value });
  }
});
export const table = z
  .string()
  .check(z.regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "must be letters, digits and _, at most 128"));
export const handler = z.custom<(...given: never[]) => unknown>(
  (given) => typeof given === "function",
  {
    error: "must be a function",
  },
);

function isLogger(given: unknown): given is Logger {
  return ["debug", "info", "warn", "error"].every(
    (level) => typeof Reflect.get(Object(given), level) === "function",
  );
}

export const profile = z.enum(["fast", "lan", "wan"]);
const milliseconds = z.optional(z.number().check(z.minimum(10), z.maximum(86_400_000)));
const number = (min: number, max: number) =>
  z.optional(z.number().check(z.minimum(min), z.maximum(max)));
const count = (min: number, max: number) =>
  z.optional(z.int().check(z.minimum(min), z.maximum(max)));
export const gossip = z.strictObject({
  profile: z.optional(profile),
  probeIntervalMs: milliseconds,
  probeTimeoutMs: milliseconds,
  indirectProbes: count(0, 16),
  gossipIntervalMs: milliseconds,
  gossipFanout: count(1, 16),
  suspicionFactor: number(1, 100),
  suspicionMaxFactor: number(1, 100),
  confirmations: count(0, 15),
  retransmitFactor: count(1, 100),
  maxHealthScore: count(0, 100),
  tombstoneMs: milliseconds,
  syncIntervalMs: milliseconds,
});

const whole = z.optional(z.int());
const algorithm = z.enum(["ring", "rendezvous", "multiprobe", "ringHash", "maglev"]);
/** The algorithm judges the numbers. */
export const sharder = z.union(
  [
    algorithm,
    z.discriminatedUnion("algorithm", [
      z.strictObject({ algorithm: z.literal("ring"), tokens: whole }),
      z.strictObject({ algorithm: z.literal("rendezvous") }),
      z.strictObject({ algorithm: z.literal("multiprobe") }),
      z.strictObject({ algorithm: z.literal("ringHash"), minRingSize: whole, maxRingSize: whole }),
      z.strictObject({ algorithm: z.literal("maglev"), tableSize: whole }),
    ]),
  ],
  {
    error:
      "give ring, rendezvous, multiprobe, ringHash or maglev, or { algorithm } with its options",
  },
);

export const logger = z.custom<Logger>(isLogger, {
  error: "must have debug, info, warn and error, all functions",
});

export const tls = z.union([
  z.enum(["auto", "none"]),
  z.strictObject({ cert: z.string(), key: z.string(), ca: z.string() }),
]);
