import { HedgerowError } from "../errors.ts";
import { BatchErrorSchema, PeerService } from "../gen/hedgerow/v1/peer_pb.ts";
import { readReplies, type WireReply, writeBatch } from "./batch-wire.ts";
import { readBody } from "./body.ts";
import { type Call, type CallHolder, expireDue } from "./calls.ts";
import { decode } from "./codec.ts";
import type { Deadlines, Expiring } from "./deadlines.ts";
import { errorFromFetch, errorFromResponse, fromBatchError } from "./errors.ts";
import type { Session } from "./session.ts";
import { pathOf } from "./server.ts";

const BATCH_PATH = pathOf(PeerService.method.batch);

/** Told what a request shows of its connection. */
export interface CarrierObserver {
  answered(): void;
  /** Nobody waits for the answer any more, and none came. */
  givenUp(): void;
}

/** One request under way: a call by its own route, or several in a batch. */
export class Carrier implements CallHolder, Expiring {
  /** The next of the calls' deadlines. */
  deadline: number;
  readonly #calls: readonly Call[];
  readonly #abort = new AbortController();
  /** Calls that are waited for. */
  #open: number;
  #answered = false;

  /** Calls whose deadline passed while they waited fail now and are not sent. */
  constructor(
    calls: readonly Call[],
    private readonly peer: string,
    private readonly deadlines: Deadlines,
    private readonly now: number,
    private readonly maxReplyBytes: number,
    private readonly observer: CarrierObserver,
  ) {
    this.deadline = expireDue(calls, now);
    this.#calls = calls.filter(({ settled }) => !settled);
    this.#open = this.#calls.length;
    for (const call of this.#calls) call.holder = this;
  }

  /** Settles every call; never rejects. */
  async run(session: Session): Promise<void> {
    if (this.#open === 0) return;
    this.deadlines.add(this);
    try {
      const { path, body, timeoutMs } = this.#request();
      const response = await session.fetch(path, {
        method: "POST",
        headers: { ...session.headers, "connect-timeout-ms": String(timeoutMs) },
        body,
        redirect: "manual",
        signal: this.#abort.signal,
      });
      this.#answered = true;
      this.observer.answered();
      const { status, headers } = response;
      const reply = await readBody(response, "reply", this.maxReplyBytes);
      if (status === 200) this.#answer(reply);
      else this.fail(errorFromResponse(status, headers, reply));
    } catch (error) {
      this.fail(this.#answered ? unreadable(this.peer, error) : errorFromFetch(error, this.peer));
    } finally {
      this.deadlines.delete(this);
    }
  }

  expire(now: number): void {
    this.deadline = expireDue(this.#calls, now);
    if (this.#open > 0) this.deadlines.add(this);
  }

  /** Ends the request once nobody waits for it any more. */
  abandoned(): void {
    this.#open--;
    if (this.#open > 0) return;
    this.#abort.abort();
    if (!this.#answered) this.observer.givenUp();
  }

  fail(error: HedgerowError): void {
    for (const call of this.#calls) call.fail(error);
  }

  /** Gives the request up: its calls may have been executed. */
  cut(): void {
    this.fail(new HedgerowError("outcome_unknown", `the connection to ${this.peer} was closed`));
    this.#abort.abort();
  }

  #request() {
    const [first, ...others] = this.#calls as [Call, ...Call[]];
    if (others.length === 0) {
      return {
        path: first.target.path,
        body: first.request,
        timeoutMs: wholeMs(first.deadline - this.now),
      };
    }
    const calls = this.#calls.map((call) => ({
      method: call.target.name,
      message: call.request,
      timeoutMs: wholeMs(call.deadline - this.now),
    }));
    return {
      path: BATCH_PATH,
      body: writeBatch(calls),
      timeoutMs: Math.max(...calls.map((call) => call.timeoutMs)),
    };
  }

  #answer(reply: Uint8Array): void {
    if (this.#calls.length === 1) {
      this.#calls[0]?.succeed(reply);
      return;
    }
    const replies = readReplies(reply);
    for (let i = 0; i < this.#calls.length; i++) this.#settle(this.#calls[i] as Call, replies[i]);
  }

  #settle(call: Call, reply: WireReply | undefined): void {
    if (reply?.ok === true) call.succeed(reply.bytes);
    else call.fail(reply === undefined ? unreadable(this.peer) : errorFrom(reply, this.peer));
  }
}

function errorFrom({ bytes }: WireReply, peer: string): HedgerowError {
  try {
    return fromBatchError(decode(BatchErrorSchema, bytes));
  } catch (cause) {
    return unreadable(peer, cause);
  }
}

/** Whatever is wrong with an answer: the call may have been executed. */
function unreadable(peer: string, cause?: unknown): HedgerowError {
  return new HedgerowError("outcome_unknown", `the answer of ${peer} cannot be read`, { cause });
}

/** What the other side may still take; 0 would mean no time-out to some. */
function wholeMs(ms: number): number {
  return Math.max(1, Math.ceil(ms));
}
