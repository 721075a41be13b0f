export type { CallOptions } from "@connectrpc/connect";
export { type ErrorCode, HedgerowError, type LeaderHint } from "../errors.ts";
// The messages, and the service for those who bring a transport of their own.
export * from "../gen/hedgerow/v1/hedgerow_pb.ts";
export { createClient, type HedgerowClient } from "./client.ts";
export type { ClientOptions } from "./options.ts";
