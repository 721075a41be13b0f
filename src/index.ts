export { type ErrorCode, HedgerowError, type LeaderHint } from "./errors.ts";
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
  MessageHandler,
  NodeStatus,
  ObserveOptions,
  PeerStateName,
  PermitOptions,
  PutOptions,
  PutResult,
  Semaphore,
  SendToLeaderOptions,
  WatchOptions,
} from "./node/api.ts";
export { Hedgerow } from "./node/hedgerow.ts";
export type { HedgerowOptions } from "./node/options.ts";
export { type LogFields, type Logger, silentLogger } from "./observe/logger.ts";
export type { CallOptions } from "./runtime/runtime.ts";
export type { ReadLimit, StoredEntry } from "./store/ports.ts";
