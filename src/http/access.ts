import { HedgerowError } from "../errors.ts";
import { HedgerowService } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { pathOf } from "../rpc/server.ts";

/** What whoever shows a token may do; "write" is all of it. */
export type Permission = "read" | "write";

/** The tokens that count at this moment. */
export interface Tokens {
  /** null for one that is none of them. Takes as long for any token of a length. */
  permissionOf(token: string): Permission | null;
  /** Calls `changed` when other tokens count, until the result is called. */
  onChange(changed: () => void): () => void;
}

/** What the client listeners know of a request before its body. */
export interface ClientCall {
  /** Without the query, as in `/hedgerow.v1.HedgerowService/Put`. */
  readonly path: string;
  /** The header `Authorization`. */
  readonly authorization: string | null;
}

/** What each method of the client API needs. Holding something is writing. */
const METHODS: Readonly<Record<keyof typeof HedgerowService.method, Permission>> = {
  status: "read",
  put: "write",
  get: "read",
  send: "write",
  broadcast: "write",
  streamToLeader: "write",
  streamBroadcast: "write",
  watchLog: "read",
  watchMembers: "read",
  holdLock: "write",
  holdSemaphore: "write",
  keepHold: "write",
  acquireSemaphore: "write",
  releaseSemaphore: "write",
  spillWrite: "write",
  spillRead: "read",
  spillClose: "write",
  spillStats: "read",
};

/** Paths for which "read" is enough; what is named nowhere needs "write". */
const READ_PATHS: ReadonlySet<string> = new Set([
  "/",
  "/get",
  "/grpc.health.v1.Health/List",
  "/metrics",
  "/openapi.json",
  ...Object.values(HedgerowService.method)
    .filter(({ localName }) => METHODS[localName as keyof typeof METHODS] === "read")
    .map(pathOf),
]);
const REFLECTION = /^\/grpc\.reflection\.v1(alpha)?\.ServerReflection\//;

/** Probes, which cannot show a token. */
const OPEN_PATHS: ReadonlySet<string> = new Set([
  "/livez",
  "/readyz",
  "/grpc.health.v1.Health/Check",
  "/grpc.health.v1.Health/Watch",
]);

const BEARER = /^bearer +([\w.~+/-]+=*)$/i;
const MEND = "send the header Authorization: Bearer TOKEN, or give the command line a --token-file";

/**
 * Why the http or grpc listener refuses the call: `unauthenticated` or `forbidden`, null if it does not.
 * Where there are no `tokens`, nobody is asked for one.
 */
export function accessRefusal(
  tokens: Tokens | null,
  { path, authorization }: ClientCall,
): HedgerowError | null {
  if (tokens === null || isOpen(path)) return null;
  if (authorization === null) return unauthenticated("this listener asks for a token");
  const token = bearerToken(authorization);
  if (token === null) return unauthenticated("the header Authorization holds no bearer token");
  const permission = tokens.permissionOf(token);
  if (permission === null) return unauthenticated("the token is none of this node's");
  if (permission === "write" || permissionFor(path) === "read") return null;
  return new HedgerowError(
    "forbidden",
    `${path} is not for read-only tokens: use one that its node lists as rw`,
  );
}

export function bearerToken(authorization: string | null): string | null {
  return BEARER.exec(authorization ?? "")?.[1] ?? null;
}

/** Whether nobody is asked for a token there. */
export function isOpen(path: string): boolean {
  return OPEN_PATHS.has(path);
}

export function permissionFor(path: string): Permission {
  return READ_PATHS.has(path) || REFLECTION.test(path) ? "read" : "write";
}

function unauthenticated(problem: string): HedgerowError {
  return new HedgerowError("unauthenticated", `${problem}: ${MEND}`);
}
