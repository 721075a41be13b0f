import type { DescMethodUnary } from "@bufbuild/protobuf";
import { GossipService } from "../gen/hedgerow/v1/gossip_pb.ts";
import { PeerService } from "../gen/hedgerow/v1/peer_pb.ts";
import type { LaneLimits } from "./slots.ts";

/** How calls of one kind travel to a peer, beside those of other kinds and not behind them. */
export interface LaneRule extends LaneLimits {
  /** Calls that one request may carry. */
  readonly maxCalls: number;
  /** What waits is not split over several requests below this many calls. */
  readonly minSplit: number;
}

/** Batches keep the other side busy while one travels; more in flight make them only smaller. */
const BATCHES: LaneRule = { max: 4, least: 2, maxCalls: 256, minSplit: 32 };
/** The leader commits in groups: fewer and fuller requests make larger groups. */
const COMMITS: LaneRule = { ...BATCHES, minSplit: 64 };
/** A peer must be found alive, and a new leader be heard of, whatever the other calls wait for. */
const CONTROL: LaneRule = { max: 4, least: 2, maxCalls: 1, minSplit: 1, reserved: true };
/** Calls that may take long each have a request of their own. */
const LONG: LaneRule = { max: 48, least: 2, maxCalls: 1, minSplit: 1 };

/** Membership and leadership share one lane, batched methods another; any other method has its own. */
export function laneOf(method: DescMethodUnary, batched: boolean): LaneRule {
  if (batched) return method === PeerService.method.append ? COMMITS : BATCHES;
  const isControl =
    method.parent.typeName === GossipService.typeName || method === PeerService.method.announce;
  return isControl ? CONTROL : { ...LONG };
}
