import type { LeaderDirectory } from "../lock/directory.ts";
import type { Leadership } from "../lock/lease.ts";
import type { Logger } from "../observe/logger.ts";
import type { Peers } from "../rpc/port.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { LogStore } from "../store/ports.ts";
import type { Retention } from "./expiry.ts";

export interface LogOptions {
  /** null: no log table is configured. */
  readonly store: LogStore | null;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly directory: LeaderDirectory;
  readonly leadership: Leadership;
  /** Address of this node. */
  readonly self: string;
  /** Somebody should look at the lock's row. */
  readonly onDoubt: () => void;
  /** Aborts when the node stops. */
  readonly shutdown: AbortSignal;
  /** What is watched is read at least this often, in milliseconds. */
  readonly pollMs: number;
  /** null: every version stays. */
  readonly retention: Retention | null;
}
