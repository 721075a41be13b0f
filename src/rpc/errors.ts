import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  codeToHttpStatus,
  errorFromJsonBytes,
  errorToJson,
} from "@connectrpc/connect/protocol-connect";
import {
  ERROR_CODES,
  type ErrorCode,
  type ErrorExtras,
  HedgerowError,
  isErrorCode,
  messageOf,
} from "../errors.ts";
import { ErrorDetailSchema } from "../gen/hedgerow/v1/hedgerow_pb.ts";
import { type BatchError, BatchErrorSchema, LeaderHintSchema } from "../gen/hedgerow/v1/peer_pb.ts";
import { hintFromWire, hintToWire } from "./hint.ts";

// The one place where HedgerowErrors become errors on the wire, and errors on the wire, or of the
// connection, become HedgerowErrors.

/** Errors without a detail of ours: of Connect's own code, of proxies, of strangers. */
const FOREIGN_CODES: Readonly<Record<Code, ErrorCode>> = {
  [Code.Canceled]: "canceled",
  [Code.Unknown]: "outcome_unknown",
  [Code.InvalidArgument]: "invalid_argument",
  [Code.DeadlineExceeded]: "timeout",
  [Code.NotFound]: "not_found",
  [Code.AlreadyExists]: "conflict",
  [Code.PermissionDenied]: "forbidden",
  // Connect's own code says so of messages over the limit.
  [Code.ResourceExhausted]: "too_large",
  [Code.FailedPrecondition]: "invalid_argument",
  [Code.Aborted]: "outcome_unknown",
  [Code.OutOfRange]: "invalid_argument",
  [Code.Unimplemented]: "not_supported",
  [Code.Internal]: "internal",
  [Code.Unavailable]: "unavailable",
  [Code.DataLoss]: "internal",
  [Code.Unauthenticated]: "unauthenticated",
};

/** Answers that are not Connect's, by HTTP status: what a proxy between may say. */
const FOREIGN_STATUSES: Readonly<Record<number, ErrorCode>> = {
  400: "invalid_argument",
  401: "unauthenticated",
  403: "forbidden",
  404: "not_found",
  413: "too_large",
  429: "overloaded",
};

/**
 * What Bun's fetch throws before a request can have left: no connection, no such name, no trust in the
 * peer's certificate. ECONNRESET and EPROTO are not among them: they also come in mid-call.
 */
const NEVER_SENT: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "HTTP2Unsupported",
  "UND_ERR_CONNECT_TIMEOUT", // of Node, for the exported client
]);

/** Nothing was sent here either: somebody is there whose certificate is not believed. */
const DISTRUSTED: ReadonlySet<string> = new Set([
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REJECTED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/**
 * What a caller may see of an error: HedgerowErrors as they are, of a defect nothing but that it is one.
 */
export function publicError(error: unknown): HedgerowError {
  if (error instanceof HedgerowError) return error;
  if (error instanceof ConnectError) return fromConnectError(error);
  return new HedgerowError("internal", "internal error", { cause: error });
}

/** What ended a call whose handler says that it was cancelled: its signal knows, if the caller's leaving was not it. */
export function behind(error: unknown, signal: AbortSignal): unknown {
  const isTold = HedgerowError.is(error, "canceled") && signal.reason instanceof ConnectError;
  return isTold ? signal.reason : error;
}

/** As Connect says it, with our own code, leader and retry delay in a detail. */
export function toConnectError(error: HedgerowError): ConnectError {
  const { code, message, leader, retryDelayMs, current, lost } = error;
  const detail = {
    ...(current !== undefined && { current }),
    ...(lost !== undefined && { lost: { from: BigInt(lost.from), to: BigInt(lost.to) } }),
    code,
    leader: leader?.address ?? "",
    token: BigInt(leader?.token ?? 0),
    released: leader?.released ?? false,
    retryDelayMs: retryDelayToWire(retryDelayMs),
  };
  return new ConnectError(
    message,
    ERROR_CODES[code].connect,
    undefined,
    [{ desc: ErrorDetailSchema, value: detail }],
    error.cause,
  );
}

/** By the detail, if it has one of ours, else by Connect's code. */
export function fromConnectError(error: ConnectError): HedgerowError {
  for (const detail of error.findDetails(ErrorDetailSchema)) {
    if (!isErrorCode(detail.code)) continue;
    const hint = create(LeaderHintSchema, {
      address: detail.leader,
      token: detail.token,
      released: detail.released,
    });
    return new HedgerowError(detail.code, error.rawMessage, {
      leader: hintFromWire(hint) ?? undefined,
      retryDelayMs: retryDelayFromWire(detail.retryDelayMs),
      current: detail.current,
      ...(detail.lost && { lost: { from: Number(detail.lost.from), to: Number(detail.lost.to) } }),
    });
  }
  return new HedgerowError(FOREIGN_CODES[error.code] ?? "internal", error.rawMessage, {
    cause: error,
  });
}

/**
 * The error of a call as Connect ended it, with our detail. Of those that have none Connect says "internal" if the
 * request cannot be read; its words, which may hold values, are left out.
 */
export function detailed(error: ConnectError): ConnectError {
  if (error.findDetails(ErrorDetailSchema).length > 0) return error;
  if (error.code !== Code.Internal) return toConnectError(publicError(error));
  return toConnectError(new HedgerowError("invalid_argument", "the request is malformed"));
}

/** The answer to a unary call that failed; `status` where HTTP has a better one than the code's. */
export function errorResponse(
  error: HedgerowError,
  status = codeToHttpStatus(ERROR_CODES[error.code].connect),
  headers: Readonly<Record<string, string>> = {},
): Response {
  const body = JSON.stringify(errorToJson(toConnectError(error), undefined));
  return new Response(body, {
    status,
    headers: { ...headers, "content-type": "application/json" },
  });
}

/** The error that an answer other than 200 stands for. */
export function errorFromResponse(
  status: number,
  headers: Headers,
  body: Uint8Array,
): HedgerowError {
  const foreign = new ConnectError(`HTTP status ${status}`, Code.Unknown);
  try {
    return fromConnectError(errorFromJsonBytes(body, headers, foreign));
  } catch (error) {
    if (error !== foreign) throw error;
    const code = FOREIGN_STATUSES[status] ?? "outcome_unknown";
    return new HedgerowError(code, `not an answer of Hedgerow: HTTP status ${status}`);
  }
}

export function toBatchError(thrown: HedgerowError): BatchError {
  const { code, message, leader, retryDelayMs, current } = thrown;
  const error = create(BatchErrorSchema, { code, message });
  if (current !== undefined) error.current = current;
  const hint = hintToWire(leader ?? null);
  if (hint !== undefined) error.leader = hint;
  error.retryDelayMs = retryDelayToWire(retryDelayMs);
  return error;
}

/** Without a code of ours it does not say whether the call was executed. */
export function fromBatchError(error: BatchError): HedgerowError {
  const code = isErrorCode(error.code) ? error.code : "outcome_unknown";
  const extras: ErrorExtras = {
    leader: hintFromWire(error.leader) ?? undefined,
    retryDelayMs: retryDelayFromWire(error.retryDelayMs),
    current: error.current,
  };
  return new HedgerowError(code, error.message, extras);
}

/**
 * What Bun's fetch threw, told by its code. `peer` names the other side in the message. Not for the
 * caller's own deadline or signal, of which the caller knows itself.
 */
export function errorFromFetch(thrown: unknown, peer: string): HedgerowError {
  if (thrown instanceof HedgerowError) return thrown;
  const code = codeOf(thrown);
  if (code === "ERR_INVALID_URL") {
    return new HedgerowError("invalid_argument", `${peer} is not an address: give host:port`);
  }
  if (code !== undefined && (NEVER_SENT.has(code) || DISTRUSTED.has(code))) {
    return new HedgerowError("unavailable", `${peer} cannot be reached: ${code}`, {
      cause: thrown,
    });
  }
  const what = code ?? messageOf(thrown);
  return new HedgerowError("outcome_unknown", `the connection to ${peer} broke: ${what}`, {
    cause: thrown,
  });
}

/** Whether fetch found nobody listening. */
export function refusedConnection(thrown: unknown): boolean {
  return codeOf(thrown) === "ECONNREFUSED";
}

/** Whether fetch found somebody whose certificate is none of the authorities'. */
export function distrustedPeer(thrown: unknown): boolean {
  return DISTRUSTED.has(codeOf(thrown) ?? "");
}

function codeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

function retryDelayToWire(ms: number | undefined): number {
  return ms === undefined ? 0 : Math.min(Math.ceil(Math.max(0, ms)), 2 ** 32 - 1);
}

function retryDelayFromWire(ms: number): number | undefined {
  return ms === 0 ? undefined : ms;
}
