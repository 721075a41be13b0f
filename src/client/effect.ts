import type { DescMethod } from "@bufbuild/protobuf";
import { HedgerowService, type PutRequest } from "../gen/hedgerow/v1/hedgerow_pb.ts";

/**
 * What it means to make a call twice: "none" reads alone, "same" leaves the same as one call, "twice" may do things
 * twice.
 */
export type Effect = "none" | "same" | "twice";

type Method = keyof typeof HedgerowService.method;

const EFFECTS: Readonly<Record<Exclude<Method, "put">, Effect>> = {
  status: "none",
  get: "none",
  watchLog: "none",
  watchMembers: "none",
  spillRead: "none",
  spillStats: "none",
  keepHold: "same",
  // An owner has one permit, which the same call again prolongs.
  acquireSemaphore: "same",
  releaseSemaphore: "same",
  send: "twice",
  broadcast: "twice",
  streamToLeader: "twice",
  streamBroadcast: "twice",
  holdLock: "twice",
  holdSemaphore: "twice",
  spillWrite: "twice",
  spillClose: "twice",
};

/** `request` is one of the method's. */
export function effectOf({ parent, localName }: DescMethod, request: unknown): Effect {
  if (parent !== HedgerowService) return "twice";
  if (localName === "put") return effectOfPut(request as PutRequest);
  return EFFECTS[localName as Exclude<Method, "put">];
}

/** An entry is inserted once, if it has an id. */
function effectOfPut({ noAppend, id }: PutRequest): Effect {
  return !noAppend && id !== "" ? "same" : "twice";
}
