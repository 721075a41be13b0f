import type { DescMessage, DescMethodUnary } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import { decode } from "./codec.ts";
import type { LaneRule } from "./lanes.ts";
import type { MethodTraffic } from "./traffic.ts";

/** A method as calls need it. */
export interface CallTarget {
  readonly desc: DescMethodUnary;
  /** `/hedgerow.v1.PeerService/Append` */
  readonly path: string;
  /** The path without its first slash, in bytes, as batches name it. */
  readonly name: Uint8Array;
  readonly lane: LaneRule;
  readonly traffic: MethodTraffic;
}

export interface CallSettings {
  readonly target: CallTarget;
  readonly request: Uint8Array<ArrayBuffer>;
  /** A time of the clock's `now`. */
  readonly deadline: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** The other node, for messages. */
  readonly peer: string;
}

/** Where a call is: it keeps the deadlines of its calls, and is told of those that need it no longer. */
export interface CallHolder {
  abandoned(call: Call): void;
}

/** One call to a peer on the calling side: it settles once, by its reply, its deadline or its signal. */
export class Call {
  readonly target: CallTarget;
  readonly request: Uint8Array<ArrayBuffer>;
  readonly deadline: number;
  /** The queue or the request that carries it now. */
  holder: CallHolder | null = null;
  #settled = false;
  readonly #onAbort: (() => void) | undefined;

  constructor(
    private readonly settings: CallSettings,
    private readonly resolve: (reply: unknown) => void,
    private readonly reject: (error: HedgerowError) => void,
  ) {
    this.target = settings.target;
    this.request = settings.request;
    this.deadline = settings.deadline;
    const { signal } = settings;
    this.target.traffic.begun++;
    this.target.traffic.requestBytes += this.request.length;
    if (signal !== undefined) {
      this.#onAbort = () => this.#end(canceled(this.#what, signal));
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
  }

  get settled(): boolean {
    return this.#settled;
  }

  succeed(reply: Uint8Array): void {
    if (this.#settled) return;
    const output: DescMessage = this.target.desc.output;
    try {
      const message = decode(output, reply);
      this.#settle();
      this.target.traffic.succeeded(reply.length);
      this.resolve(message);
    } catch (error) {
      this.fail(malformedReply(this.#what, error));
    }
  }

  fail(error: HedgerowError): void {
    if (this.#settled) return;
    this.#settle();
    this.target.traffic.failed(error.code);
    this.reject(error);
  }

  expire(): void {
    const { timeoutMs } = this.settings;
    this.#end(
      new HedgerowError("timeout", `${this.#what}: no answer within ${Math.round(timeoutMs)} ms`),
    );
  }

  /** Ends the call before its answer came. */
  #end(error: HedgerowError): void {
    if (this.#settled) return;
    const { holder } = this;
    this.fail(error);
    holder?.abandoned(this);
  }

  #settle(): void {
    this.#settled = true;
    this.holder = null;
    if (this.#onAbort) this.settings.signal?.removeEventListener("abort", this.#onAbort);
  }

  get #what(): string {
    return `${this.target.desc.name} to ${this.settings.peer}`;
  }
}

/** Ends the calls whose time has come, and gives the deadline that is next; Infinity for none. */
export function expireDue(calls: readonly Call[], now: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const call of calls) {
    if (call.settled) continue;
    if (call.deadline <= now) call.expire();
    else next = Math.min(next, call.deadline);
  }
  return next;
}

/** The signal's own reason, if it is a HedgerowError: a node that stops says so. */
export function canceled(what: string, signal: AbortSignal): HedgerowError {
  const reason: unknown = signal.reason;
  if (reason instanceof HedgerowError) return reason;
  return new HedgerowError("canceled", `${what}: cancelled by the caller`);
}

function malformedReply(what: string, cause: unknown): HedgerowError {
  return new HedgerowError("outcome_unknown", `${what}: the reply cannot be read`, { cause });
}
