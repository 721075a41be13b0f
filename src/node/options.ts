import * as z from "zod/mini";
import en from "zod/v4/locales/en.js";
import { HedgerowError } from "../errors.ts";
import { DEFAULT_LEASE_MS, MIN_LEASE_MS } from "../lock/timing.ts";
import { MAX_KEPT_VERSIONS, MIN_KEEP_MS, type Retention } from "../log/expiry.ts";
import { GOSSIP_PROFILES, type GossipTiming } from "../members/timing.ts";
import { type Logger, silentLogger } from "../observe/logger.ts";
import { MESSAGE_LIMIT_RANGE } from "../rpc/limits.ts";
import { type MemoryNetwork, ProcessNetwork } from "../rpc/memory-network.ts";
import type { TlsFiles } from "../rpc/tls.ts";
import { type Compression, COMPRESSIONS } from "../spill/compression.ts";
import { NO_STORE } from "../store/open.ts";
import type { MembersChange, MessageHandler, SharderChoice, StreamHandler } from "./api.ts";
import type { NodeConfig } from "./config.ts";
import { DEFAULT_LIMITS, type NodeLimits } from "./limits.ts";
import * as kinds from "./option-kinds.ts";
import type { TransportChoice } from "./transport.ts";
import { DEFAULT_DISK_BYTES, spillRoom } from "./spill-room.ts";

export type GossipPace = "fast" | "lan" | "wan";

/** Options of `Hedgerow.start`; each may be left out. */
export interface HedgerowOptions {
  /**
   * `sqlite:PATH` or `spanner:projects/P/instances/I/databases/D`, the same on all nodes; or `none`: then there are
   * members, broadcasts, sharders and spill stores, and whatever needs a leader answers `not_supported`. Default
   * `sqlite:./hedgerow.db`.
   */
  readonly store?: string | undefined;
  /** `host:port` of the peer listener; `:port` and "" resolve this machine's IP. Default `:8080`. */
  readonly address?: string | undefined;
  /**
   * false: no port is opened; `node.handler()` is mounted on a server of the application, which others reach at
   * `address`. TLS is that server's business then, so that `tls` is files or "none". Default true.
   */
  readonly listen?: boolean | undefined;
  /**
   * Made by `memoryNetwork()`: the node reaches those of this process that were given the same one, without sockets,
   * ports and TLS. `address` is any `host:port` then; by default `memory:1`, `memory:2` and so on.
   */
  readonly network?: MemoryNetwork | undefined;
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
  /**
   * The pace of failure detection, the same on all nodes: "fast" (default; a crash is known to all within seconds),
   * or hashicorp/memberlist's "lan" or "wan"; or one of them with constants of one's own.
   */
  readonly gossip?:
    GossipPace | (Partial<GossipTiming> & { readonly profile?: GossipPace }) | undefined;
  /**
   * What the node becomes when it has started, and joined: `changeState` changes it. Until then it is a viewer, and so
   * owner of nothing. Default "participant".
   */
  readonly state?: "viewer" | "participant" | undefined;
  /**
   * How many of the newest versions of each key stay, 1 to 10,000: while this node leads it removes older
   * ones, a minute after they were written at the soonest, those of `keepAge` excepted. The same on all nodes, as
   * `keepAge`. Default: all stay.
   */
  readonly keepVersions?: number | undefined;
  /**
   * Versions younger than this stay, milliseconds or a duration of a minute at least: while this node leads
   * it removes older ones, `keepVersions` of the newest (1 by default) excepted. Default: all stay.
   */
  readonly keepAge?: number | string | undefined;
  /**
   * Folder of the spill store's files, which never have names there. Default: the system's for temporary files. One in
   * memory (tmpfs) is warned of in the log.
   */
  readonly spillDir?: string | undefined;
  /**
   * Memory for the spill store, this node's own and what it keeps for others: bytes, or a size such as "256MB" or
   * "1GiB". Default: half of the memory that is free at the start.
   */
  readonly spillMemory?: number | string | undefined;
  /** The same of its disk. Default 1 GiB. */
  readonly spillDisk?: number | string | undefined;
  /**
   * "zstd" packs what this node's stores send to other nodes, where that saves a tenth at least: for links slower than
   * zstd is (level 1; some 400 MB/s of records), and to have more room there. Default "none". Nodes may differ.
   */
  readonly spillCompression?: Compression | undefined;
  /**
   * Bytes (or as "4MiB") of the largest message that this node takes, of its reply, and of each message of a stream:
   * 1 KiB to 64 MiB. Larger is `too_large`. Default 4 MiB.
   */
  readonly maxMessage?: number | string | undefined;
  /** Streams that one other node may have open here; more are `overloaded`. Default 4,096. */
  readonly maxStreams?: number | undefined;
  /** Puts and messages of other nodes that may be under way here; more are `overloaded`. Default 10,000. */
  readonly maxCalls?: number | undefined;
  /** Addresses to join through, beside the lock's row; see HedgerowNode.join. */
  readonly join?: readonly string[] | undefined;
  /**
   * By which algorithm `node.sharder` tells who owns a key; the same on all nodes. Default "ring", of 512 tokens a
   * node; "ringHash" and "maglev" are Envoy's, and hash the members' addresses as it does.
   */
  readonly sharder?: SharderChoice | undefined;
  /**
   * Mutual TLS between peers with the cluster's own authority, or with PEM files, which are read again when they
   * change: a certificate for the DNS name `hedgerow`, its key, the authorities to accept; or plain text.
   * Default "auto", which needs a log table to keep the authority in.
   */
  readonly tls?: "auto" | "none" | TlsFiles | undefined;
  readonly logger?: Logger | undefined;
  /** Answers `send` while this node leads. */
  readonly onSend?: MessageHandler | undefined;
  /** Answers `broadcast`. */
  readonly onBroadcast?: MessageHandler | undefined;
  /** Answers `streamToLeader` while this node leads. */
  readonly onStream?: StreamHandler | undefined;
  /** Answers `streamBroadcast`. */
  readonly onStreamBroadcast?: StreamHandler | undefined;
  /** Told once per change, also at expiry and at stop. */
  readonly onLeaderChange?: ((isLeader: boolean) => unknown) | undefined;
  readonly onMembersChanged?: ((change: MembersChange) => unknown) | undefined;
  /** This node's settings are not the cluster's; it has been stopped. */
  readonly onFatal?: ((error: Error) => unknown) | undefined;
}

const schema = z.strictObject({
  store: z._default(z.string(), "sqlite:./hedgerow.db"),
  address: z.optional(z.string()),
  listen: z._default(z.boolean(), true),
  network: z.optional(
    z.custom<ProcessNetwork>((given) => given instanceof ProcessNetwork, {
      error: "give what memoryNetwork() made",
    }),
  ),
  name: z.optional(kinds.name),
  label: z.optional(kinds.name),
  lockTable: z._default(kinds.table, "locktable"),
  lockName: z._default(kinds.name, "hedgerow"),
  logTable: z._default(z.union([kinds.table, z.literal("")]), "logtable"),
  lease: z._default(kinds.atLeast(MIN_LEASE_MS), DEFAULT_LEASE_MS),
  syncInterval: z.optional(kinds.atLeast(2_000)),
  gossip: z._default(z.union([kinds.profile, kinds.gossip]), "fast"),
  state: z._default(z.enum(["viewer", "participant"]), "participant"),
  keepVersions: z.optional(z.int().check(z.minimum(1), z.maximum(MAX_KEPT_VERSIONS))),
  keepAge: z.optional(
    kinds.duration.check(z.refine((ms) => ms >= MIN_KEEP_MS, "must be a minute or more")),
  ),
  spillDir: z._default(z.string(), ""),
  spillMemory: z.optional(kinds.size),
  spillDisk: z._default(kinds.size, DEFAULT_DISK_BYTES),
  spillCompression: z._default(z.enum(COMPRESSIONS), "none"),
  maxMessage: z._default(
    kinds.size.check(
      z.refine(
        (bytes) => bytes >= MESSAGE_LIMIT_RANGE.min && bytes <= MESSAGE_LIMIT_RANGE.max,
        "must be from 1KiB to 64MiB",
      ),
    ),
    DEFAULT_LIMITS.maxMessageBytes,
  ),
  maxStreams: z._default(z.int().check(z.minimum(1), z.maximum(65_536)), DEFAULT_LIMITS.maxStreams),
  maxCalls: z._default(z.int().check(z.minimum(1), z.maximum(1_000_000)), DEFAULT_LIMITS.maxCalls),
  join: z._default(z.readonly(z.array(z.string())), []),
  sharder: z.optional(kinds.sharder),
  tls: z.optional(kinds.tls),
  logger: z.optional(kinds.logger),
  onSend: z.optional(kinds.handler),
  onBroadcast: z.optional(kinds.handler),
  onStream: z.optional(kinds.handler),
  onStreamBroadcast: z.optional(kinds.handler),
  onLeaderChange: z.optional(kinds.handler),
  onMembersChanged: z.optional(kinds.handler),
  onFatal: z.optional(kinds.handler),
});

/** What `Hedgerow.start` works with: complete, except for the address, which is resolved next. */
export interface CheckedOptions
  extends
    Omit<NodeConfig, "address" | "incarnation" | "name" | "protections" | "limits">,
    TransportChoice {
  readonly limits: NodeLimits;
  readonly name: string | undefined;
  readonly lockTable: string;
  readonly logTable: string;
  /** "" where none was named. */
  readonly spillDir: string;
}

/** Throws `invalid_argument`: one line that names the option and the mend. */
export function checkOptions(options: HedgerowOptions): CheckedOptions {
  const parsed = schema.safeParse(options, {
    error: en().localeError,
    jitless: true, // compiling the schema takes longer than this one use of it
  });
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where = issue?.path.join(".") ?? "";
    throw new HedgerowError("invalid_argument", `${where || "options"}: ${issue?.message}`);
  }
  const { data } = parsed;
  const stored = data.store !== NO_STORE;
  return {
    store: data.store,
    address: data.address ?? null,
    network: data.network,
    listen: data.listen,
    name: data.name,
    label: labelOf(data),
    lockTable: data.lockTable,
    lockName: data.lockName,
    logTable: data.logTable,
    leaseMs: stored ? data.lease : 0,
    gossip: timingOf(data.gossip, data.syncInterval),
    state: data.state,
    retention: retentionOf(data),
    spillDir: data.spillDir,
    spill: spillRoom(data),
    limits: {
      maxMessageBytes: data.maxMessage,
      maxStreams: data.maxStreams,
      maxCalls: data.maxCalls,
    },
    join: data.join,
    sharder: typeof data.sharder === "string" ? { algorithm: data.sharder } : data.sharder,
    tls: tlsOf(data, stored),
    logger: data.logger ?? silentLogger,
    onSend: options.onSend,
    onBroadcast: options.onBroadcast,
    onStream: options.onStream,
    onStreamBroadcast: options.onStreamBroadcast,
    onLeaderChange: options.onLeaderChange,
    onMembersChanged: options.onMembersChanged,
    onFatal: options.onFatal,
  };
}

/** Throws `invalid_argument` where the cluster's own authority has no place to lie in, or no port to be shown on. */
function tlsOf(
  { network, listen, tls = "auto", logTable }: z.infer<typeof schema>,
  stored: boolean,
): CheckedOptions["tls"] {
  if (network !== undefined) {
    if (tls === "auto" || tls === "none") return "none";
    throw new HedgerowError(
      "invalid_argument",
      "tls: a memory network has no connections to encrypt: leave out tls or network",
    );
  }
  if (tls !== "auto") return tls;
  if (!listen) {
    throw new HedgerowError(
      "invalid_argument",
      "listen: false: your server cannot show the certificates of tls auto: give tls files, and your server the same ones, or tls none",
    );
  }
  if (stored && logTable !== "") return "auto";
  const lacking = stored ? "in the log table: name one, or" : "in the store, and there is none:";
  throw new HedgerowError(
    "invalid_argument",
    `tls auto keeps the cluster's authority ${lacking} choose { cert, key, ca } (--tls files) or "none" (--tls none)`,
  );
}

/** Made of lock table and lock name unless it is given. */
export function labelOf(given: {
  readonly label?: string | null | undefined;
  readonly lockTable: string;
  readonly lockName: string;
}): string {
  return given.label ?? `${given.lockTable}/${given.lockName}`;
}

/** Throws `invalid_argument` for constants that do not go together. */
function timingOf(
  given: GossipPace | z.infer<typeof kinds.gossip>,
  syncIntervalMs: number | undefined,
): GossipTiming {
  const { profile: named = "fast", ...own } =
    typeof given === "string" ? { profile: given } : given;
  const defined = Object.entries(own).filter(([, value]) => value !== undefined);
  const timing: GossipTiming = {
    ...GOSSIP_PROFILES[named],
    ...(Object.fromEntries(defined) as Partial<GossipTiming>),
    ...(syncIntervalMs !== undefined && { syncIntervalMs }),
  };
  if (timing.probeTimeoutMs < timing.probeIntervalMs) return timing;
  throw new HedgerowError(
    "invalid_argument",
    "gossip.probeTimeoutMs: must be below probeIntervalMs, which leaves time to ask others",
  );
}

function retentionOf(given: {
  readonly keepVersions?: number | undefined;
  readonly keepAge?: number | undefined;
}): Retention | null {
  const { keepVersions, keepAge } = given;
  if (keepVersions === undefined && keepAge === undefined) return null;
  return { keepVersions: keepVersions ?? 1, keepAgeMs: keepAge ?? null };
}
