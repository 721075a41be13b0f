import type { Logger } from "../observe/logger.ts";
import type { Retention } from "../log/expiry.ts";
import type { GossipTiming } from "../members/timing.ts";
import type { NodeLimits } from "./limits.ts";
import type { SpillRoom } from "./spill-room.ts";
import type {
  MembersChange,
  MessageHandler,
  PeerStateName,
  SharderOptions,
  StreamHandler,
} from "./api.ts";

/** What a node runs with: complete and checked, made from the library's options in options.ts. */
export interface NodeConfig {
  readonly name: string;
  /** `host:port` as others reach it. */
  readonly address: string;
  /** Of this start: milliseconds since the epoch. Gossip raises it should an older start claim more. */
  readonly incarnation: number;
  readonly label: string;
  readonly lockName: string;
  /** 0 without a store. */
  readonly leaseMs: number;
  readonly gossip: GossipTiming;
  /** What the node becomes when it has started. */
  readonly state: Exclude<PeerStateName, "terminating">;
  /** Addresses to join through, beside the lock's row. */
  readonly join: readonly string[];
  /** undefined: ckit's ring, made when it is used. */
  readonly sharder: SharderOptions | undefined;
  /** What stays of a key's versions while this node leads; null: all. */
  readonly retention: Retention | null;
  readonly spill: SpillRoom;
  /** Default: those of limits.ts. */
  readonly limits?: NodeLimits | undefined;
  readonly logger: Logger;
  readonly onSend: MessageHandler | undefined;
  readonly onBroadcast: MessageHandler | undefined;
  readonly onStream?: StreamHandler | undefined;
  readonly onStreamBroadcast?: StreamHandler | undefined;
  readonly onLeaderChange: ((isLeader: boolean) => unknown) | undefined;
  readonly onMembersChanged: ((change: MembersChange) => unknown) | undefined;
  /** The node cannot go on: its settings are not the cluster's. It has been stopped. */
  readonly onFatal: ((error: Error) => unknown) | undefined;
  /** false in the control binary only: no deadline checks, no fence. */
  readonly protections: boolean;
}
