import type { CallOptions } from "../runtime/runtime.ts";
import type { ReadLimit, StoredEntry } from "../store/ports.ts";

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
  /** From the end of `start` until `stop`. */
  readonly running: boolean;

  /**
   * Appends a version to `key`, or replaces its `-` row with `noAppend`. Written by the leader.
   * Default time-out 10 s. Throws `invalid_argument`, `too_large`, `conflict`, `no_leader`, `timeout`,
   * `outcome_unknown`, `not_supported`.
   */
  put(key: string, value: string, options?: PutOptions): Promise<PutResult>;
  /** Reads versions of `key` from the store, newest first. Default: the latest only. */
  get(key: string, options?: GetOptions): Promise<StoredEntry[]>;
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
  /** The members that this node knows, itself included, sorted by address. */
  members(): MemberInfo[];
  status(): NodeStatus;
  /** Resolves once the node can serve; rejects with what is missing: joined, store reachable, not stopping. */
  ready(): Promise<void>;
  /** Leaves the cluster, releases the lease, ends calls, closes all. Idempotent. */
  stop(): Promise<void>;
}

/** Text is sent as UTF-8. */
export type Bytes = Uint8Array | string;

export interface PutOptions extends CallOptions {
  /** Replaces the key's one `-` row; appended versions stay. */
  readonly noAppend?: boolean | undefined;
  /** Writes from this node, unfenced. */
  readonly directWrite?: boolean | undefined;
  /** Id of the entry: a retry with the same id and value writes nothing twice. Default: a new ULID. */
  readonly id?: string | undefined;
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

export type PeerStateName = "viewer" | "participant" | "terminating";

export interface MemberInfo {
  readonly name: string;
  readonly address: string;
  /** Grows with every start of the member. */
  readonly incarnation: number;
  readonly state: PeerStateName;
  /** It did not answer lately, and is dropped unless it refutes that. */
  readonly suspect: boolean;
}

export interface NodeStatus {
  /** `host:port` of the peer listener. */
  readonly node: string;
  readonly name: string;
  readonly leader: string | null;
  readonly isLeader: boolean;
  readonly token: string | null;
  readonly members: readonly MemberInfo[];
  readonly leaseMs: number;
  /** How often the loop of the lock went round since the start. */
  readonly iterations: number;
}

/** What the node calls when a message comes; the reply is at most 4 MiB. */
export type MessageHandler = (
  data: Uint8Array,
  context: { readonly signal: AbortSignal },
) => Bytes | undefined | Promise<Bytes | undefined>;

export interface MembersChange {
  readonly joined: readonly MemberInfo[];
  readonly left: readonly MemberInfo[];
}
