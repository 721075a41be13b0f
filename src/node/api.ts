import type { CallOptions } from "../runtime/runtime.ts";
import type { SpillLimits, SpillStore } from "../spill/api.ts";
import type { ReadLimit, StoredEntry } from "../store/ports.ts";
import type {
  MemberInfo,
  MemberSharder,
  MembersObserver,
  ObserveOptions,
  PeerStateName,
} from "./members-api.ts";

export type {
  MemberInfo,
  MemberSharder,
  MembersChange,
  MembersObserver,
  ObserveOptions,
  PeerStateName,
  SharderChoice,
  SharderOptions,
} from "./members-api.ts";

/** A node of the cluster, as the library's users, the HTTP listener and the tests see it. */
export interface HedgerowNode extends AsyncDisposable {
  /** The address unless it was given another one. */
  readonly name: string;
  /** `host:port` of the peer listener, as others reach it. */
  readonly address: string;
  /** Whether this node leads, judged at this moment without any I/O. */
  readonly isLeader: boolean;
  /** Address of the leader that this node knows, null when it knows none. */
  readonly leader: string | null;
  /** Fencing token of that leader: decimal microseconds since the epoch; null when there is none. */
  readonly token: string | null;
  /** Its own: what it said last, which others may not have heard yet. */
  readonly state: PeerStateName;
  /** From the end of `start` until `stop`. */
  readonly running: boolean;

  /**
   * Appends a version to `key`, or replaces its `-` row with `noAppend`. Written by the leader.
   * Default time-out 10 s. Throws `invalid_argument`, `too_large`, `conflict`, `fenced`, `no_leader`,
   * `timeout`, `outcome_unknown`, `not_supported`.
   */
  put(key: string, value: string, options?: PutOptions): Promise<PutResult>;
  /** Reads versions of `key` from the store, newest first. Default: the latest only. */
  get(key: string, options?: GetOptions): Promise<StoredEntry[]>;
  /**
   * Every version of `key`, oldest first, each once, across changes of the leader: those after the version
   * `fromId`, then what is written. Begins when the first is asked for; reads on when the next is. A `-` row
   * counts as new each time it is replaced, and what it was between may be left out. What `directWrite` of
   * another node wrote comes within the sync interval, 30 s at most. Ends with the signal. Throws
   * `invalid_argument` for an id that the key has not, or no longer, `expired` if versions that were to come
   * may have been removed, `overloaded`, `stopped`, and what `get` throws; a store that is away is waited for.
   */
  watch(key: string, options?: WatchOptions): AsyncIterableIterator<StoredEntry>;
  /** Delivers to the leader's `onSend` and gives its reply; one attempt. Default time-out 10 s. */
  send(data: Bytes, options?: CallOptions): Promise<Uint8Array>;
  /**
   * `send` that tries again, with back-off, while there is no leader or it cannot be reached: the
   * handler may see a message twice. Never retries a handler's error. Default: 10 retries within 30 s.
   */
  sendToLeader(data: Bytes, options?: SendToLeaderOptions): Promise<Uint8Array>;
  /** Delivers to the `onBroadcast` of all members, this node included. All replies, in no order. */
  broadcast(data: Bytes, options?: BroadcastOptions): Promise<BroadcastReply[]>;
  /** `broadcast` whose replies are given as they come. */
  broadcastStream(data: Bytes, options?: BroadcastOptions): AsyncIterable<BroadcastReply>;
  /**
   * Opens a stream to the leader's `onStream` and gives its replies: both directions flow at once, each only as fast as
   * the other end reads. Begins at once; `input` is read when the leader has taken it. Ends well when the handler has
   * ended; otherwise the replies throw, after those that came before: `no_leader`, `no_handler`, `handler_failed`,
   * `not_leader` when another node leads (a stream stays with the leader that it began with), `outcome_unknown` when
   * the connection broke or nothing was heard of the leader for 1.5 s, `too_large`, `overloaded`, `canceled`, `stopped`.
   * Leaving the replies early ends it on both sides. Default time-out: 10 s until the leader has taken it, none after.
   */
  streamToLeader(input: StreamInput, options?: StreamOptions): AsyncIterableIterator<Uint8Array>;
  /**
   * The same to the `onStreamBroadcast` of all members, this node included: each gets all of `input`, and each reply says
   * whose it is. A member whose stream fails has a last reply with the error; the others go on. The slowest member and
   * the reader of the replies set the pace; a member that takes nothing for 30 s while others wait for it fails with
   * `timeout`.
   */
  streamBroadcast(
    input: StreamInput,
    options?: StreamBroadcastOptions,
  ): AsyncIterableIterator<BroadcastReply>;
  /**
   * A lock beside the leader's, for as many owners as ask for one of this name. Nothing is done until it is taken.
   * Throws `invalid_argument` for a name that begins with `hedge/spindle/` or ends in `_` and digits.
   */
  lock(name: string, options?: LockOptions): Lock;
  /**
   * A semaphore of `limit` permits, the same for all who use the name at one time. Nothing is done until a permit
   * is taken. Throws `invalid_argument` for a name with whitespace.
   */
  semaphore(name: string, limit: number): Semaphore;
  /**
   * The spill store of this name, on this node: made if there is none, the same object as long as it lives. Throws
   * `other_limit` if it lives with other limits than those that are given, `invalid_argument`, `stopped`.
   */
  spill(name: string, limits?: SpillLimits): SpillStore;
  /** The spill store of this name. Throws `not_found` if there is none on this node, and `stopped`. */
  findSpill(name: string): SpillStore;
  /** The spill stores of this node, sorted by name. Throws `stopped`. */
  spillStores(): SpillStore[];
  /** The members that this node knows, itself included, sorted by address. */
  members(): MemberInfo[];
  /**
   * Calls `observer` with all members whenever somebody joins, leaves, changes its state, or is suspect or no longer: in
   * the background, in the order of registration, with the latest state only. Ends when the observer gives false, or by the function
   * that is returned. Throws `stopped`.
   */
  observe(observer: MembersObserver, options?: ObserveOptions): () => void;
  /**
   * What other nodes ask of this one, for a server that the application has already; with `listen: false` the node
   * opens no port of its own. Mount it first, then `join`:
   *
   *     const { route, fetch } = node.handler();
   *     Bun.serve({ port: 3000, idleTimeout: 120, routes: { [route]: fetch, "/": home } });
   *     app.all(route, (c) => fetch(c.req.raw, c.env)); // the same in a new Hono<{ Bindings: Bun.Server<undefined> }>()
   *
   * Bun.serve cuts streams off at its `maxRequestBodySize`, 128 MiB unless it is raised.
   *
   * The server, not the node, decides who gets through to it. Certificates are its business: with `tls` of files it
   * must show them (`http2: true`, and `tls: { key, cert, ca, requestCert: true, rejectUnauthorized: true }` from the
   * same files, for all that it serves), since other nodes call it with them and check its own. With `tls: "none"`
   * whoever reaches the server can speak to the node as a member does, since the label is no secret: let nobody else
   * reach it. Once the node has stopped it answers `stopped`.
   */
  handler(): NodeHandler;
  /**
   * Which members own a key, by the algorithm of the option `sharder`; the same on all nodes that know the same
   * members. Follows the members as this node knows them, and has done so before observers are told. Made when it is
   * asked for first. Throws `stopped`.
   */
  readonly sharder: MemberSharder;
  /**
   * Asks these addresses (`host:port`, 256 at most) for the members, and joins them. Resolves once all have answered
   * or failed, within 2 s; where no other node answered they are asked again in the background, after a second and
   * then ever less often, up to a minute, and those that answered every ten minutes unless they are members. Throws
   * `wrong_cluster` for settings that are not the cluster's, `invalid_argument` for what is no address or a name
   * that another member has, `too_large`, `stopped`.
   */
  join(addresses: readonly string[]): Promise<void>;
  /**
   * Changes this node's own state: viewer, then participant, then terminating. Resolves once the cluster has been
   * told. Default time-out 10 s. Throws `invalid_argument` for any other transition, `timeout`, `canceled`,
   * `stopped`.
   */
  changeState(state: PeerStateName, options?: CallOptions): Promise<void>;
  status(): NodeStatus;
  /**
   * What this node has counted, in Prometheus' text format: docs/METRICS.md. Names begin with `hedgerow_`; those of
   * the process are its application's own affair.
   */
  metrics(): Promise<string>;
  /**
   * A check, not a wait: resolves if the node can serve, else rejects at once (a store has 2 s to answer)
   * with what is missing: joined, store reachable, not stopping. Without a store it has joined once it has met another
   * node, or if it was given nobody to join.
   */
  ready(): Promise<void>;
  /** Leaves the cluster, releases the lease, ends calls, closes all. Idempotent. */
  stop(): Promise<void>;
}

/** Text is sent as UTF-8. */
export type Bytes = Uint8Array | string;

export interface PutOptions extends CallOptions {
  /** Replaces the key's one `-` row; appended versions stay. */
  readonly noAppend?: boolean | undefined;
  /** Writes from this node, unfenced by the leader's claim. Conditions are checked all the same. */
  readonly directWrite?: boolean | undefined;
  /** Id of the entry: a retry with the same id and value writes nothing twice. Default: a new ULID. */
  readonly id?: string | undefined;
  /**
   * Id of the version that must be the key's newest; empty: the key must have none. Otherwise `conflict`,
   * whose `current` is the newest version's id. A put that is there already, with its id and value, succeeds
   * whatever this says: it is the retry of one whose reply was lost. `-` stands for the `-` row, whatever it
   * holds.
   */
  readonly ifVersion?: string | undefined;
  /**
   * A lock's claim, checked in the write's own transaction: `fenced` unless the lock has this token still.
   * `name` and `token` are those of a HeldLock. The leader's own lock is named in full:
   * `hedge/spindle/lockname/` and its name, with `node.token`.
   */
  readonly fence?: { readonly name: string; readonly token: string } | undefined;
}

export interface WatchOptions {
  /** Begin after the version of this id; empty: from the oldest. Default: what is written from now on. */
  readonly fromId?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface LockOptions {
  /** 10,000 by default, 1,000 at least; the same for all who use the lock. */
  readonly leaseMs?: number | undefined;
}

export interface Lock {
  readonly name: string;
  /**
   * Waits for it, first come, first served. Throws `timeout` (default: no time-out), `canceled`, `stopped`,
   * `overloaded`.
   */
  acquire(options?: CallOptions): Promise<HeldLock>;
  /**
   * Takes it if it is free at this moment, also before those that wait. Throws `taken` if it is held, and the
   * store's errors: after `outcome_unknown` nobody holds it, and it is free once the lease is over. Default
   * time-out 10 s.
   */
  tryAcquire(options?: CallOptions): Promise<HeldLock>;
}

/** Something held until it is released, disposed or lost. */
export interface Claim extends AsyncDisposable {
  /** Aborts, with `claim_lost`, before anybody else can hold it. */
  readonly signal: AbortSignal;
  /** Idempotent; disposing does the same. */
  release(): Promise<void>;
}

export interface HeldLock extends Claim {
  readonly name: string;
  /** Fencing token: decimal microseconds since the epoch, greater with each holder. For the user's own systems, too. */
  readonly token: string;
  /** For how many milliseconds from now it is held without another renewal; 0 once it is lost or released. */
  readonly heldForMs: number;
}

export interface Semaphore {
  readonly name: string;
  readonly limit: number;
  /**
   * Waits for a permit, first come, first served. Throws `already_held`, `other_limit`, `timeout` (default: no
   * time-out), `canceled`, `stopped`, `overloaded`, `not_supported`.
   */
  acquire(options?: PermitOptions): Promise<HeldPermit>;
  /** Throws `taken` if none is free, or others wait for those that are. Default time-out 10 s. */
  tryAcquire(options?: PermitOptions): Promise<HeldPermit>;
}

export interface PermitOptions extends CallOptions {
  /** One permit per owner. Default: the node's address. */
  readonly owner?: string | undefined;
  /**
   * The work is done elsewhere, and goes on when this process ends: then the permit is free once its lease is
   * over, and no sooner. Default false: a restart of this process at its address frees it at once.
   */
  readonly detached?: boolean | undefined;
}

export interface HeldPermit extends Claim {
  readonly semaphore: string;
  readonly owner: string;
  /** For how many milliseconds from now it is held without another renewal; 0 once it is lost or released. */
  readonly heldForMs: number;
}

export interface PutResult {
  readonly id: string;
  /** Microseconds since the epoch. */
  readonly timestamp: number;
}

export interface GetOptions extends CallOptions {
  readonly limit?: ReadLimit | undefined;
}

export interface SendToLeaderOptions extends CallOptions {
  /** Attempts after the first one; negative: for ever, within the time-out. Default 10. */
  readonly retries?: number | undefined;
}

export interface BroadcastOptions extends CallOptions {
  readonly skipSelf?: boolean | undefined;
  /** Addresses; unknown ones are ignored. Default: all members. */
  readonly onlySendTo?: readonly string[] | undefined;
}

export type BroadcastReply =
  | { readonly node: string; readonly data: Uint8Array }
  | { readonly node: string; readonly error: Error };

/** Messages, each at most 4 MiB. A buffer may be used again when the next message is asked for, not before. */
export type StreamInput = AsyncIterable<Bytes> | Iterable<Bytes>;

export interface StreamOptions extends CallOptions {
  /** Told to the handler, at most 16 KiB. Gets an `id`, if it has none. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

export interface StreamBroadcastOptions extends StreamOptions {
  readonly skipSelf?: boolean | undefined;
  /** Addresses; unknown ones are ignored. Default: all members. */
  readonly onlySendTo?: readonly string[] | undefined;
}

/**
 * What the node calls when a stream comes: with its messages, which end when the other side has sent all and throw when
 * the stream fails, and gives the replies, as an async generator does. What it throws fails its caller's stream only.
 */
export type StreamHandler = (
  messages: AsyncIterableIterator<Uint8Array>,
  context: StreamContext,
) => StreamInput | undefined | Promise<StreamInput | undefined>;

export interface StreamContext {
  /** Of the metadata. */
  readonly id: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Address of the node that opened the stream. */
  readonly from: string;
  /** Aborts when the stream is over, for whatever reason. */
  readonly signal: AbortSignal;
}

export interface NodeHandler {
  /** `/hedgerow/peer/*`: the route to mount `fetch` at. */
  readonly route: string;
  /**
   * Answers a request. `server`, as Bun.serve gives it, lets calls that wait keep their quiet connections, which end
   * with the server's `idleTimeout` otherwise.
   */
  readonly fetch: (
    request: Request,
    server?: { timeout(request: Request, seconds: number): void },
  ) => Response | Promise<Response>;
}

export interface NodeStatus {
  /** `host:port` of the peer listener. */
  readonly node: string;
  readonly name: string;
  readonly leader: string | null;
  readonly isLeader: boolean;
  readonly token: string | null;
  readonly members: readonly MemberInfo[];
  /** 0 without a store. */
  readonly leaseMs: number;
  /** How often the loop of the lock went round since the start. */
  readonly iterations: number;
}

/** What the node calls when a message comes; the reply is at most 4 MiB. */
export type MessageHandler = (
  data: Uint8Array,
  context: MessageContext,
) => Bytes | undefined | Promise<Bytes | undefined>;

export interface MessageContext {
  /** Aborts when the sender no longer waits, and when the node stops. */
  readonly signal: AbortSignal;
  /** Milliseconds that the sender still waits. */
  readonly timeoutMs: number;
  /** Of the message: the same in all attempts of `sendToLeader`, and at all members of a broadcast. */
  readonly id: string;
  /** Counts from 1. In a later one a handler, here or on another node, may have had the message before. */
  readonly attempt: number;
  /** Address of the node that sent it. */
  readonly from: string;
}
