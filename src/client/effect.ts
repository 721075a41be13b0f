import type { DescMethod } from "@bufbuild/protobuf";
import { HedgerowService, type PutRequest } from "../gen/hedgerow/v1/hedgerow_pb.ts";

/**
 * What it means to make a call twice: "none" reads alone, "same" leaves the same as one call, "twice" may do things
 * twice.
 */
export type Effect = "none" | "same" | "twice";

const { status, get, watchLog, watchMembers, spillRead } = HedgerowService.method;
const { put, keepHold, acquireSemaphore, releaseSemaphore } = HedgerowService.method;

const NO_EFFECT: ReadonlySet<DescMethod> = new Set([
  status,
  get,
  watchLog,
  watchMembers,
  spillRead,
]);
/** An owner of a semaphore has one permit, which the same call again prolongs. */
const SAME_EFFECT: ReadonlySet<DescMethod> = new Set([
  keepHold,
  acquireSemaphore,
  releaseSemaphore,
]);

/** `request` is one of the method's. A put has the same effect if it has an id: an entry is inserted once. */
export function effectOf(method: DescMethod, request: unknown): Effect {
  if (NO_EFFECT.has(method)) return "none";
  if (SAME_EFFECT.has(method)) return "same";
  if (method !== put) return "twice";
  const { noAppend, id } = request as PutRequest;
  return !noAppend && id !== "" ? "same" : "twice";
}
