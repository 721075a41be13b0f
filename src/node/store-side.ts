import type { LeaderHint } from "../errors.ts";
import type { Leadership } from "../lock/lease.ts";
import type { Locks } from "../lock/named/locks.ts";
import type { Log } from "../log/log.ts";
import type { Gossip } from "../members/gossip.ts";
import type { Family } from "../observe/families.ts";
import type { PeerRoute, Peers } from "../rpc/port.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Semaphores } from "../semaphore/semaphores.ts";
import type { NodeConfig } from "./config.ts";
import type { Joining } from "./joining.ts";

/**
 * The half of a node that stands on its store: who leads, and what is kept there. WithStore has it, WithoutStore
 * says `not_supported`; once a node is put together nothing else asks whether there is a store.
 */
export interface StoreSide {
  readonly leadership: Leadership;
  readonly log: Pick<Log, "put" | "get" | "watch">;
  readonly locks: Pick<Locks, "lock">;
  readonly semaphores: Pick<Semaphores, "semaphore">;
  /** What it answers to other nodes. */
  readonly routes: readonly PeerRoute[];
  /** The leader that this node knows; null if it knows of none. */
  readonly leader: LeaderHint | null;
  /** How often the loop of the lock went round. */
  readonly iterations: number;
  /** Somebody could not reach the leader. */
  doubt(): void;
  /** Meets who leads, before this node contends. Throws `wrong_cluster` for settings that are not the cluster's. */
  firstContact(): Promise<void>;
  start(): void;
  /** What it has counted. */
  metrics(): Promise<Family[]>;
  /** Whether this node may take part: one that waits to meet the others would hold itself for the only owner. */
  readonly hasJoined: boolean;
  /** Rejects with what is missing. */
  ready(): Promise<void>;
  /** Another process than before may run at this address. */
  memberJoined(address: string): void;
  /** Gives up what this node holds, leadership last, and tells the others. */
  resign(): Promise<void>;
}

export interface StoreSideOptions {
  readonly config: NodeConfig;
  readonly runtime: Runtime;
  readonly peers: Peers;
  readonly gossip: Gossip;
  readonly joining: Joining;
  readonly shutdown: AbortSignal;
  /** Told once per gain of the lease and once per loss. */
  readonly onLeaderChange: (leads: boolean) => void;
}
