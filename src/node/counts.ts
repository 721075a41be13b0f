import { CallCounts } from "../observe/call-counts.ts";
import { Traffic } from "../rpc/traffic.ts";
import type { Clock } from "../runtime/runtime.ts";
import { STORE_CALLS, type StoreCounts } from "../store/counted.ts";

/** What is counted and timed of what users call. */
const NODE_CALLS = [
  "put",
  "get",
  "send",
  "broadcast",
  "lock",
  "semaphore",
  "join",
  "change_state",
] as const;

export type NodeCall = (typeof NODE_CALLS)[number];

/** What a node counts at its edges; its parts count what is their own. */
export class NodeCounts {
  readonly traffic = new Traffic();
  readonly calls: CallCounts<NodeCall>;
  readonly store: StoreCounts;

  constructor(clock: Clock) {
    this.calls = new CallCounts(clock, NODE_CALLS);
    this.store = new CallCounts(clock, STORE_CALLS);
  }
}
