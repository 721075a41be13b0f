import { HedgerowError } from "../errors.ts";
import type { Call, CallHolder } from "./calls.ts";

/** Calls and bytes that may wait for one peer. */
const MAX_WAITING_CALLS = 4096;
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** Calls to one peer that wait for a request to carry them, first come, first served. */
export class CallQueue implements CallHolder {
  readonly #calls = new Set<Call>();
  #bytes = 0;

  get size(): number {
    return this.#calls.size;
  }

  /** Fails the call with `overloaded` when too much waits already. */
  push(call: Call): void {
    const bytes = this.#bytes + call.request.length;
    if (this.#calls.size >= MAX_WAITING_CALLS || bytes > MAX_WAITING_BYTES) {
      call.fail(
        new HedgerowError(
          "overloaded",
          `${call.target.desc.name}: too many calls wait for the peer`,
        ),
      );
      return;
    }
    this.#bytes = bytes;
    this.#calls.add(call);
    call.holder = this;
  }

  /** Takes at most `maxCalls` and, after the first, as many as stay within `maxBytes`. */
  take(maxCalls: number, maxBytes: number): Call[] {
    const taken: Call[] = [];
    let bytes = 0;
    for (const call of this.#calls) {
      bytes += call.request.length;
      if (taken.length === maxCalls || (taken.length > 0 && bytes > maxBytes)) break;
      taken.push(call);
    }
    for (const call of taken) this.abandoned(call);
    return taken;
  }

  abandoned(call: Call): void {
    if (this.#calls.delete(call)) this.#bytes -= call.request.length;
  }

  /** Nothing that waits was ever sent. */
  fail(error: HedgerowError): void {
    for (const call of [...this.#calls]) {
      this.abandoned(call);
      call.fail(error);
    }
  }
}
