export { type ErrorCode, HedgerowError, type LeaderHint, type LostRecords } from "./errors.ts";
export type {
  BroadcastOptions,
  BroadcastReply,
  Bytes,
  GetOptions,
  HedgerowNode,
  HeldLock,
  HeldPermit,
  Lock,
  LockOptions,
  MemberInfo,
  MembersChange,
  MembersObserver,
  MemberSharder,
  MessageContext,
  MessageHandler,
  NodeHandler,
  NodeStatus,
  ObserveOptions,
  PeerStateName,
  PermitOptions,
  PutOptions,
  PutResult,
  Semaphore,
  SendToLeaderOptions,
  StreamBroadcastOptions,
  StreamContext,
  StreamHandler,
  StreamInput,
  StreamOptions,
  SharderChoice,
  SharderOptions,
  WatchOptions,
} from "./node/api.ts";
export { Hedgerow } from "./node/hedgerow.ts";
export { type MemoryNetwork, memoryNetwork } from "./rpc/memory-network.ts";
export type { HedgerowOptions } from "./node/options.ts";
export { type LogFields, type Logger, silentLogger } from "./observe/logger.ts";
export type { CallOptions } from "./runtime/runtime.ts";
export {
  type MaglevOptions,
  maglev,
  multiprobe,
  type RingHashOptions,
  rendezvous,
  ring,
  ringHash,
} from "./shard/algorithms.ts";
export { ShardError, type ShardErrorCode } from "./shard/errors.ts";
export { type ShardKey, shardKey } from "./shard/key.ts";
export type { ShardNode, ShardView } from "./shard/node.ts";
export type { Sharder } from "./shard/sharder.ts";
export type {
  SpillLimits,
  SpillReader,
  SpillReadOptions,
  SpillStats,
  SpillStore,
  SpillWriter,
  Tier,
  TierStats,
} from "./spill/api.ts";
export type { SpillBatch } from "./spill/batch.ts";
export type { ReadLimit, StoredEntry } from "./store/ports.ts";
