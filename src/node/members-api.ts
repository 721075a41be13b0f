import type { MaglevOptions, RingHashOptions } from "../shard/algorithms.ts";
import type { ShardKey } from "../shard/key.ts";
import type { ShardView } from "../shard/node.ts";

export type PeerStateName = "viewer" | "participant" | "terminating";

export type MembersObserver = (members: readonly MemberInfo[]) => unknown;

export interface ObserveOptions {
  /** Told only when the set of participants has changed. Default false. */
  readonly participantsOnly?: boolean | undefined;
}

export interface MemberInfo {
  readonly name: string;
  readonly address: string;
  /** Grows with every start of the member. */
  readonly incarnation: number;
  readonly state: PeerStateName;
  /** It did not answer lately, and is dropped unless it refutes that. */
  readonly suspect: boolean;
}

export interface MembersChange {
  readonly joined: readonly MemberInfo[];
  readonly left: readonly MemberInfo[];
}

/**
 * Participants own keys; for reads those that are terminating do, too. Lookups allocate nothing: what they give of a
 * member is as it was when somebody last joined, left or changed its state, so ask `members()` who is suspect now.
 */
export interface MemberSharder {
  /** The owner of a key, by default for reading and writing. Throws `not_enough_nodes`. */
  owner(key: string | ShardKey, view?: ShardView): MemberInfo;
  /**
   * `count` distinct owners of a key, the first one first, put into `into` where that is given. Throws
   * `not_enough_nodes`, and `invalid_argument` for a count that is none.
   */
  lookup(
    key: string | ShardKey,
    count: number,
    view?: ShardView,
    into?: MemberInfo[],
  ): MemberInfo[];
  /** How many members own keys. */
  size(view?: ShardView): number;
}

/** An algorithm of src/shard, with its options: those of the functions `ring`, `ringHash` and `maglev`. */
export type SharderOptions =
  | { readonly algorithm: "ring"; readonly tokens?: number | undefined }
  | { readonly algorithm: "rendezvous" }
  | { readonly algorithm: "multiprobe" }
  | ({ readonly algorithm: "ringHash" } & RingHashOptions)
  | ({ readonly algorithm: "maglev" } & MaglevOptions);

export type SharderChoice = SharderOptions | SharderOptions["algorithm"];
