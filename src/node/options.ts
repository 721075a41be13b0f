import { z } from "zod";
import { HedgerowError } from "../errors.ts";
import { DEFAULT_LEASE_MS, MIN_LEASE_MS } from "../lock/timing.ts";
import { FAST_PROFILE } from "../members/timing.ts";
import { type Logger, silentLogger } from "../observe/logger.ts";
import { checkName } from "../store/limits.ts";
import type { MembersChange, MessageHandler } from "./api.ts";
import type { NodeConfig } from "./config.ts";
import { parseDuration } from "./duration.ts";

/** Options of `Hedgerow.start`; each may be left out. */
export interface HedgerowOptions {
  /** `sqlite:PATH`. Default `sqlite:./hedgerow.db`. */
  readonly store?: string | undefined;
  /** `host:port` of the peer listener; `:port` and "" resolve this machine's IP. Default `:8080`. */
  readonly address?: string | undefined;
  /** Unique in the cluster. Default: the address. */
  readonly name?: string | undefined;
  /** Keeps clusters apart. Default: `lockTable/lockName`. */
  readonly label?: string | undefined;
  readonly lockTable?: string | undefined;
  readonly lockName?: string | undefined;
  /** "" for no log: then put, get and semaphores answer `not_supported`. */
  readonly logTable?: string | undefined;
  /** Milliseconds, or a duration such as "30s". The same on all nodes. Default 30 s, at least 2 s. */
  readonly lease?: number | string | undefined;
  /** Milliseconds or a duration: how often whole member lists are compared. Default 30 s, at least 2 s. */
  readonly syncInterval?: number | string | undefined;
  /** Addresses to join through, beside the lock's row. */
  readonly join?: readonly string[] | undefined;
  /** Mutual TLS between peers with the cluster's own authority, or plain text. Default "auto". */
  readonly tls?: "auto" | "none" | undefined;
  readonly logger?: Logger | undefined;
  /** Answers `send` while this node leads. */
  readonly onSend?: MessageHandler | undefined;
  /** Answers `broadcast`. */
  readonly onBroadcast?: MessageHandler | undefined;
  /** Told once per change, also at expiry and at stop. */
  readonly onLeaderChange?: ((isLeader: boolean) => unknown) | undefined;
  readonly onMembersChanged?: ((change: MembersChange) => unknown) | undefined;
  /** This node's settings are not the cluster's; it has been stopped. */
  readonly onFatal?: ((error: Error) => unknown) | undefined;
}

const duration = z.union([z.number(), z.string()]).transform((given, context) => {
  const ms = typeof given === "number" ? given : parseDuration(given);
  if (ms === null || !Number.isFinite(ms)) {
    context.addIssue(`${given} is no duration: write one such as 30s or 500ms`);
    return z.NEVER;
  }
  return ms;
});

const atLeast = (minMs: number) =>
  duration.refine((ms) => ms >= minMs && ms <= 86_400_000, `must be from ${minMs / 1e3}s to 24h`);

const name = z.string().superRefine((given, context) => {
  try {
    checkName(given);
  } catch (error) {
    context.addIssue(error instanceof Error ? error.message : String(error));
  }
});
const table = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "must be letters, digits and _, at most 128");
const handler = z.custom<(...given: never[]) => unknown>((given) => typeof given === "function", {
  error: "must be a function",
});

const schema = z.strictObject({
  store: z.string().default("sqlite:./hedgerow.db"),
  address: z.string().default(":8080"),
  name: name.optional(),
  label: name.optional(),
  lockTable: table.default("locktable"),
  lockName: name.default("hedgerow"),
  logTable: table.or(z.literal("")).default("logtable"),
  lease: atLeast(MIN_LEASE_MS).default(DEFAULT_LEASE_MS),
  syncInterval: atLeast(2_000).default(FAST_PROFILE.syncIntervalMs),
  join: z.array(z.string()).readonly().default([]),
  tls: z.enum(["auto", "none"]).default("auto"),
  logger: z.custom<Logger>().optional(),
  onSend: handler.optional(),
  onBroadcast: handler.optional(),
  onLeaderChange: handler.optional(),
  onMembersChanged: handler.optional(),
  onFatal: handler.optional(),
});

/** What `Hedgerow.start` works with: complete, except for the address, which is resolved next. */
export interface CheckedOptions extends Omit<
  NodeConfig,
  "address" | "incarnation" | "name" | "protections"
> {
  readonly store: string;
  readonly address: string;
  readonly name: string | undefined;
  readonly lockTable: string;
  readonly logTable: string;
  readonly tls: "auto" | "none";
}

/** Throws `invalid_argument`: one line that names the option and the mend. */
export function checkOptions(options: HedgerowOptions): CheckedOptions {
  const parsed = schema.safeParse(options);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.join(".") ?? "";
    throw new HedgerowError("invalid_argument", `${where || "options"}: ${issue?.message}`);
  }
  const { data } = parsed;
  if (data.tls === "auto" && data.logTable === "") {
    throw new HedgerowError(
      "invalid_argument",
      "tls auto keeps the cluster's authority in the log table: name one, or choose tls none",
    );
  }
  return {
    store: data.store,
    address: data.address,
    name: data.name,
    label: data.label ?? `${data.lockTable}/${data.lockName}`,
    lockTable: data.lockTable,
    lockName: data.lockName,
    logTable: data.logTable,
    leaseMs: data.lease,
    gossip: { ...FAST_PROFILE, syncIntervalMs: data.syncInterval },
    join: data.join,
    tls: data.tls,
    logger: data.logger ?? silentLogger,
    onSend: options.onSend,
    onBroadcast: options.onBroadcast,
    onLeaderChange: options.onLeaderChange,
    onMembersChanged: options.onMembersChanged,
    onFatal: options.onFatal,
  };
}
