import { LOG_FORMATS, LOG_LEVELS } from "../observe/format.ts";
import { COMPRESSIONS } from "../spill/compression.ts";
import type { Config, Flag } from "./flag.ts";
import * as values from "./values.ts";

// Each flag is declared here and nowhere else. One appears only when it works.

const LISTENERS = "Listeners";
const STORE = "Store";
const SPILL = "Spill store";
const CLUSTER = "Cluster";
const LIMITS = "Limits";
const SIDECAR = "Sidecar";
const LOGS = "Logs";

/** The flags of `hedgerow serve`. Durations are in milliseconds once read. */
export const SERVE_FLAGS = {
  peerAddr: {
    schema: values.peerAddress,
    value: "ADDR",
    fallback: ":8080",
    section: LISTENERS,
    help: "where other nodes reach this one; :port and the empty string resolve the machine's own IP address",
  },
  httpAddr: {
    schema: values.listenAddress,
    value: "ADDR",
    fallback: "127.0.0.1:9090",
    section: LISTENERS,
    help: "endpoints, probes and the client API; :port listens on all IPv4 interfaces",
  },
  grpcAddr: {
    schema: values.optionalListenAddress,
    value: "ADDR",
    fallback: "",
    section: LISTENERS,
    help: "the client API, health and reflection in native gRPC, by convention at :8081; :port listens on all IPv4 interfaces; empty: none",
  },
  corsOrigin: {
    schema: values.originList,
    value: "ORIGIN,...",
    fallback: "",
    section: LISTENERS,
    help: "web origins whose pages may call the http listener; their host names are accepted as Host too",
  },
  httpHosts: {
    schema: values.hostList,
    value: "NAME,...",
    fallback: "",
    section: LISTENERS,
    help: "further host names, without a port, under which the http listener may be called; another Host is refused",
  },
  clientTokenFile: {
    schema: values.optionalPath,
    value: "FILE",
    fallback: "",
    section: LISTENERS,
    help: "clients must show a token of this file, lines of rw TOKEN (may do all) and ro TOKEN (may only read); read again when it changes; empty: nobody is asked",
  },
  clientTlsCert: {
    schema: values.optionalPath,
    value: "FILE",
    fallback: "",
    section: LISTENERS,
    help: "PEM certificate of the client listeners, its chain after it: then they speak TLS; read again when it changes",
  },
  clientTlsKey: {
    schema: values.optionalPath,
    value: "FILE",
    fallback: "",
    section: LISTENERS,
    help: "PEM private key of that certificate",
  },
  store: {
    schema: values.storeUrl,
    value: "URL",
    fallback: "sqlite:./hedgerow.db",
    section: STORE,
    help: "the database that all nodes share: sqlite:PATH or spanner:projects/P/instances/I/databases/D; none: what needs no leader works, with --tls files or none",
  },
  lockTable: {
    schema: values.tableName,
    value: "TABLE",
    fallback: "locktable",
    section: STORE,
    help: "table of the lock",
  },
  lockName: {
    schema: values.name,
    value: "NAME",
    fallback: "hedgerow",
    section: STORE,
    help: "name of the lock whose holder leads; nodes with one lock are one cluster",
  },
  logTable: {
    schema: values.optionalTableName,
    value: "TABLE",
    fallback: "logtable",
    section: STORE,
    help: "table of the log; empty: no put and get",
  },
  keepVersions: {
    schema: values.optionalInteger(1, 10_000),
    value: "N",
    fallback: "",
    section: STORE,
    help: "how many of each key's newest versions stay; the leader removes older ones, with --keep-age only those that are over it; empty: all stay",
  },
  keepAge: {
    schema: values.optionalAge,
    value: "DURATION",
    fallback: "",
    section: STORE,
    help: "the leader removes versions that are older than this, 1m at least, but never the newest of a key, nor the newest N of --keep-versions; empty: no matter how old",
  },
  spillDir: {
    schema: values.anyText,
    value: "DIR",
    fallback: "",
    section: SPILL,
    help: "folder of the spill store's files, which have no names there; empty: the system's for temporary files",
  },
  spillMemory: {
    schema: values.optionalSize,
    value: "SIZE",
    fallback: "",
    section: SPILL,
    help: "memory for spilled records, this node's own and other nodes', as in 256MB or 1GiB; empty: half of what is free at the start",
  },
  spillDisk: {
    schema: values.optionalSize,
    value: "SIZE",
    fallback: "1GiB",
    section: SPILL,
    help: "the same of the disk; 0: none",
  },
  spillCompression: {
    schema: values.word(COMPRESSIONS),
    value: "HOW",
    fallback: "none",
    section: SPILL,
    help: "of this node's records on their way to other nodes: none, or zstd, for links slower than that (some 400 MB/s) and for more room there; nodes may differ",
  },
  maxMessage: {
    schema: values.messageSize,
    value: "SIZE",
    fallback: "4MiB",
    section: LIMITS,
    help: "largest message that this node takes, of its reply, and of each message of a stream, 1KiB to 64MiB; nodes may differ",
  },
  maxCalls: {
    schema: values.integer(1, 1_000_000),
    value: "N",
    fallback: "10000",
    section: LIMITS,
    help: "puts, gets and messages of clients that may be under way here, and as many of other nodes; more are refused",
  },
  maxStreams: {
    schema: values.integer(1, 65_536),
    value: "N",
    fallback: "4096",
    section: LIMITS,
    help: "streams that one client, by its IP address, or one other node may have open here; more are refused",
  },
  lease: {
    schema: values.duration(2000),
    value: "DURATION",
    fallback: "30s",
    section: CLUSTER,
    help: "how long a leader that died goes on counting as one, 2s at least; the same on all nodes",
  },
  syncInterval: {
    schema: values.duration(2000),
    value: "DURATION",
    fallback: "30s",
    section: CLUSTER,
    help: "how often nodes compare what they know of the members, 2s at least",
  },
  join: {
    schema: values.peerList,
    value: "ADDR,...",
    fallback: "",
    section: CLUSTER,
    help: "nodes to join through; needed only without a store, for else the lock names the leader",
  },
  name: {
    schema: values.optionalName,
    value: "NAME",
    fallback: "",
    section: CLUSTER,
    help: "unique name of this node; empty: its peer address",
  },
  label: {
    schema: values.optionalName,
    value: "LABEL",
    fallback: "",
    section: CLUSTER,
    help: "keeps clusters apart; empty: made of lock table and lock name",
  },
  tls: {
    schema: values.word(["auto", "files", "none"]),
    value: "MODE",
    fallback: "auto",
    section: CLUSTER,
    help: "between nodes; auto: mutual TLS by the cluster's own authority, kept in the log table; files: by the three below; none: plain text",
  },
  tlsCert: {
    schema: values.optionalPath,
    value: "FILE",
    fallback: "",
    section: CLUSTER,
    help: "PEM certificate for the DNS name hedgerow; read again when it changes",
  },
  tlsKey: {
    schema: values.optionalPath,
    value: "FILE",
    fallback: "",
    section: CLUSTER,
    help: "PEM private key of that certificate",
  },
  tlsCa: {
    schema: values.optionalPath,
    value: "FILE",
    fallback: "",
    section: CLUSTER,
    help: "PEM certificates of the authorities that peers' certificates may come from",
  },
  onSend: {
    schema: values.callbackUrl,
    value: "URL",
    fallback: "",
    section: SIDECAR,
    help: "service that answers messages to the leader while this node leads: a POST each; empty: the node's own answer",
  },
  onBroadcast: {
    schema: values.callbackUrl,
    value: "URL",
    fallback: "",
    section: SIDECAR,
    help: "service that answers broadcasts; empty: the node's own answer",
  },
  callbackKeyFile: {
    schema: values.optionalPath,
    value: "FILE",
    fallback: "",
    section: SIDECAR,
    help: "key with which requests to these services are signed, a line; several sign side by side; read again when it changes; empty: not signed",
  },
  logLevel: {
    schema: values.word(LOG_LEVELS),
    value: "LEVEL",
    fallback: "info",
    section: LOGS,
    help: `the least that is logged to stderr: ${LOG_LEVELS.join(", ")}`,
  },
  logFormat: {
    schema: values.word(LOG_FORMATS),
    value: "FORMAT",
    fallback: "pretty",
    section: LOGS,
    help: "pretty or json, one line per event",
  },
} as const satisfies Record<string, Flag<unknown>>;

export type ServeConfig = Config<typeof SERVE_FLAGS>;

/** Of every command that prints data. */
export const JSON_FLAG = {
  json: {
    schema: values.yesNo,
    fallback: "false",
    section: "Output",
    typedOnly: true,
    help: "print JSON",
  },
} as const satisfies Record<string, Flag<unknown>>;

/** Of every command that asks a node: where it is, and how to be let in. */
export const SERVER_FLAGS = {
  server: {
    schema: values.serverList,
    value: "URL,...",
    fallback: "http://127.0.0.1:9090",
    section: "Server",
    help: "http listener of a node; of several the first that answers is asked",
  },
  tokenFile: {
    schema: values.optionalPath,
    value: "FILE",
    fallback: "",
    section: "Server",
    help: "file that holds the token to show; of lines rw TOKEN and ro TOKEN the first; empty: none is shown",
  },
  ca: {
    schema: values.optionalPath,
    value: "FILE",
    fallback: "",
    section: "Server",
    help: "PEM certificates of the authorities to trust for an https --server; empty: the well-known ones",
  },
} as const satisfies Record<string, Flag<unknown>>;

/** Of every command that asks a node once. */
export const CLIENT_FLAGS = {
  ...SERVER_FLAGS,
  timeout: {
    schema: values.duration(1),
    value: "DURATION",
    fallback: "30s",
    section: "Server",
    help: "give up after this long",
  },
  ...JSON_FLAG,
} as const satisfies Record<string, Flag<unknown>>;
