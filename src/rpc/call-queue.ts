import { HedgerowError } from "../errors.ts";
import { type Call, type CallHolder, expireDue } from "./calls.ts";
import type { Deadlines, Expiring } from "./deadlines.ts";

/** Calls and bytes that may wait for one peer. */
const MAX_WAITING_CALLS = 4096;
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** Calls to one peer that wait for a request to carry them, first come, first served. */
export class CallQueue implements CallHolder, Expiring {
  /** The next of the calls' deadlines, while it is kept. */
  deadline = Number.POSITIVE_INFINITY;
  /** Abandoned calls among them are passed over. */
  #calls: Call[] = [];
  #waiting = 0;
  #bytes = 0;

  constructor(private readonly deadlines: Deadlines) {}

  /** Calls that wait. */
  get size(): number {
    return this.#waiting;
  }

  /** Fails the call with `overloaded` when too much waits already. */
  push(call: Call): void {
    const bytes = this.#bytes + call.request.length;
    // One that is larger than all that may wait goes when nothing else does.
    const isTooMuch = bytes > MAX_WAITING_BYTES && this.#waiting > 0;
    if (this.#waiting >= MAX_WAITING_CALLS || isTooMuch) {
      const { name } = call.target.desc;
      call.fail(new HedgerowError("overloaded", `${name}: too many calls wait for the peer`));
      return;
    }
    this.#bytes = bytes;
    this.#waiting++;
    this.#calls.push(call);
    this.deadline = Math.min(this.deadline, call.deadline);
    call.holder = this;
  }

  /** Takes at most `maxCalls` and, after the first, as many as stay within `maxBytes`. */
  take(maxCalls: number, maxBytes: number): Call[] {
    const taken: Call[] = [];
    let bytes = 0;
    let passed = 0;
    for (const call of this.#calls) {
      if (!call.settled) {
        if (taken.length === maxCalls) break;
        if (taken.length > 0 && bytes + call.request.length > maxBytes) break;
        bytes += call.request.length;
        call.holder = null;
        taken.push(call);
      }
      passed++;
    }
    this.#calls.splice(0, passed);
    this.#waiting -= taken.length;
    this.#bytes -= bytes;
    return taken;
  }

  /** Keeps the deadlines of the calls that have to wait; to be called when no more can be taken. */
  watch(): void {
    if (this.#waiting > 0) {
      this.deadlines.add(this);
    } else {
      this.deadline = Number.POSITIVE_INFINITY;
      this.deadlines.delete(this);
    }
  }

  expire(now: number): void {
    this.deadline = expireDue(this.#calls, now);
    this.watch();
  }

  abandoned(call: Call): void {
    this.#waiting--;
    this.#bytes -= call.request.length;
    // They do not pile up behind one that waits for long.
    if (this.#calls.length > 2 * this.#waiting + 64) {
      this.#calls = this.#calls.filter(({ settled }) => !settled);
    }
  }

  /** Nothing that waits was ever sent. */
  fail(error: HedgerowError): void {
    const calls = this.#calls.splice(0);
    this.#waiting = 0;
    this.#bytes = 0;
    this.watch();
    for (const call of calls) call.fail(error);
  }
}
