import { DEFAULT_STREAM_LIMITS, type StreamLimits } from "../rpc/streams/limits.ts";
import { MAX_MESSAGE_BYTES } from "../store/limits.ts";

/** What a node takes. The limit of whoever receives counts: nodes of a cluster may have different ones. */
export interface NodeLimits {
  /** Bytes of a message, of its reply, and of each message of a stream. */
  readonly maxMessageBytes: number;
  /** Streams that one other node may have open here. */
  readonly maxStreams: number;
  /** Puts and messages of other nodes that may be under way here. */
  readonly maxCalls: number;
}

export const DEFAULT_LIMITS: NodeLimits = {
  maxMessageBytes: MAX_MESSAGE_BYTES,
  maxStreams: DEFAULT_STREAM_LIMITS.maxStreams,
  maxCalls: 10_000,
};

export function streamLimitsOf({ maxMessageBytes, maxStreams }: NodeLimits): StreamLimits {
  return { ...DEFAULT_STREAM_LIMITS, maxMessageBytes, maxStreams };
}
