import { Code } from "@connectrpc/connect";

/**
 * The closed set of error codes, with what each becomes as a Connect code and as an HTTP status.
 * This table is the only place where one becomes the other.
 */
export const ERROR_CODES = {
  /** The caller's input is wrong; the message names the mend. */
  invalid_argument: { connect: Code.InvalidArgument, http: 400 },
  /** A key, value, name or message is over its limit. */
  too_large: { connect: Code.ResourceExhausted, http: 413 },
  /** No such route, method, or spill store. */
  not_found: { connect: Code.NotFound, http: 404 },
  /** The entry's id exists with another value, or the key's newest version is not the one asked for. */
  conflict: { connect: Code.AlreadyExists, http: 409 },
  /** Nobody leads, as far as this node can tell within the deadline. Nothing was done. */
  no_leader: { connect: Code.Unavailable, http: 503 },
  /** The node that was asked does not lead. Nothing was done. */
  not_leader: { connect: Code.FailedPrecondition, http: 503 },
  /** The database refused a write because the fencing token is no longer the lock's. Nothing was written. */
  fenced: { connect: Code.Aborted, http: 503 },
  /** A peer or the store could not be reached. Nothing was done. */
  unavailable: { connect: Code.Unavailable, http: 503 },
  /** The deadline passed. Where the call had an effect, it may or may not have taken place. */
  timeout: { connect: Code.DeadlineExceeded, http: 504 },
  /** The caller cancelled. */
  canceled: { connect: Code.Canceled, http: 499 },
  /** The connection broke while the call was under way: it may or may not have taken effect. */
  outcome_unknown: { connect: Code.Unknown, http: 504 },
  /** A lock or permit that was held is no longer. */
  claim_lost: { connect: Code.Aborted, http: 409 },
  /** The owner has a permit of this semaphore already. */
  already_held: { connect: Code.AlreadyExists, http: 409 },
  /** No permit of the semaphore is free, or the lock is somebody else's. Nothing was done. */
  taken: { connect: Code.ResourceExhausted, http: 409 },
  /** The semaphore, or the spill store, exists with another limit. Nothing was done. */
  other_limit: { connect: Code.FailedPrecondition, http: 409 },
  /** No node has room left for the spill store's records within its limits. This one was not taken. */
  no_space: { connect: Code.ResourceExhausted, http: 507 },
  /** Records of a spill store are gone, or not what was written; `lost` says which. */
  data_lost: { connect: Code.DataLoss, http: 500 },
  /** A node that keeps records of a spill store does not answer: later they may be there again; `lost` says which. */
  out_of_reach: { connect: Code.Aborted, http: 503 },
  /** Versions that were to come next may have been removed: begin anew. */
  expired: { connect: Code.OutOfRange, http: 410 },
  /** Fewer nodes take part than owners of a key were asked for. Nothing was done. */
  not_enough_nodes: { connect: Code.Unavailable, http: 503 },
  /** Switched off by configuration. */
  not_supported: { connect: Code.Unimplemented, http: 501 },
  /** The node that was asked has no handler for messages of this kind. */
  no_handler: { connect: Code.Unimplemented, http: 501 },
  /** The application's handler failed. */
  handler_failed: { connect: Code.Internal, http: 500 },
  /** Too much is waiting already. Nothing was done. */
  overloaded: { connect: Code.ResourceExhausted, http: 503 },
  /** The node is stopping or stopped. */
  stopped: { connect: Code.Unavailable, http: 503 },
  /** The other node is of another cluster. Nothing was done. */
  other_cluster: { connect: Code.FailedPrecondition, http: 409 },
  /** This node's settings are not those of its cluster. Nothing was done. */
  wrong_cluster: { connect: Code.FailedPrecondition, http: 409 },
  /** The store answered with an error of its own. Nothing was done. */
  store_failed: { connect: Code.Internal, http: 503 },
  /** The listener asks for a token, and the request shows none that is good. Nothing was done. */
  unauthenticated: { connect: Code.Unauthenticated, http: 401 },
  /** What the caller may not do: a foreign Host or Origin, a token that may only read. Nothing was done. */
  forbidden: { connect: Code.PermissionDenied, http: 403 },
  /** A defect of Hedgerow. */
  internal: { connect: Code.Internal, http: 500 },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A leader that somebody knows of; of two, the one with the greater token is newer. */
export interface LeaderHint {
  /** `host:port` of the leader's peer listener. */
  readonly address: string;
  /** Fencing token, microseconds since the epoch. */
  readonly token: number;
  /** The leader has given this token up. */
  readonly released: boolean;
}

export interface ErrorExtras {
  readonly cause?: unknown;
  readonly leader?: LeaderHint | undefined;
  /** A retry sooner than this is pointless, in milliseconds. */
  readonly retryDelayMs?: number | undefined;
  /** With `conflict` of a conditional put: id of the key's newest version, empty if it has none. */
  readonly current?: string | undefined;
  /** With `data_lost` and `out_of_reach`: the records, by their indices. */
  readonly lost?: LostRecords | undefined;
}

/** The records `from` to `to`, the latter exclusive. */
export interface LostRecords {
  readonly from: number;
  readonly to: number;
}

/** The one error class of Hedgerow. Tell errors apart by `code`, never by message. */
export class HedgerowError extends Error {
  override readonly name = "HedgerowError";
  readonly leader: LeaderHint | undefined;
  readonly retryDelayMs: number | undefined;
  readonly current: string | undefined;
  readonly lost: LostRecords | undefined;

  constructor(
    readonly code: ErrorCode,
    message: string,
    extras: ErrorExtras = {},
  ) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.leader = extras.leader;
    this.retryDelayMs = extras.retryDelayMs;
    this.current = extras.current;
    this.lost = extras.lost;
  }

  /** Whether `error` is a HedgerowError with one of these codes (any, if none is given). */
  static is(error: unknown, ...codes: ErrorCode[]): error is HedgerowError {
    return error instanceof HedgerowError && (codes.length === 0 || codes.includes(error.code));
  }

  /** The error itself, or, of anything else, an `internal` one that carries it as its cause. */
  static from(error: unknown): HedgerowError {
    if (error instanceof HedgerowError) return error;
    return new HedgerowError("internal", messageOf(error), { cause: error });
  }
}

/** Whether `text` is one of the closed set. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}

/** One line that says what was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}
