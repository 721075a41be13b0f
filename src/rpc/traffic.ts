import type { DescMethod } from "@bufbuild/protobuf";
import type { ErrorCode } from "../errors.ts";

/** Calls of one method, on one side of them: plain numbers, which metrics.ts names. */
export class MethodTraffic {
  begun = 0;
  ok = 0;
  readonly errors = new Map<ErrorCode, number>();
  /** Of messages, without what carries them. */
  requestBytes = 0;
  replyBytes = 0;

  succeeded(replyBytes: number): void {
    this.ok++;
    this.replyBytes += replyBytes;
  }

  failed(code: ErrorCode): void {
    this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
  }

  get failures(): number {
    return this.errors.values().reduce((sum, count) => sum + count, 0);
  }

  get underWay(): number {
    return this.begun - this.ok - this.failures;
  }
}

/** Streams between a node and its peers. */
export class StreamTraffic {
  /** Opened by this node, and by its peers. */
  opened = 0;
  taken = 0;
  /** Of both. */
  ended = 0;
  readonly tx = { messages: 0, bytes: 0 };
  readonly rx = { messages: 0, bytes: 0 };

  get open(): number {
    return this.opened + this.taken - this.ended;
  }
}

/** What a node asks of its peers, and they of it. */
export class Traffic {
  /** Requests that were refused because they came from another cluster. */
  strangers = 0;
  readonly streams = new StreamTraffic();
  readonly #asked = new Map<DescMethod, MethodTraffic>();
  readonly #served = new Map<DescMethod, MethodTraffic>();

  /** Methods that this node has served or asked for, or can. */
  get methods(): DescMethod[] {
    return [...new Set([...this.#served.keys(), ...this.#asked.keys()])];
  }

  asked(method: DescMethod): MethodTraffic {
    return this.#of(this.#asked, method);
  }

  served(method: DescMethod): MethodTraffic {
    return this.#of(this.#served, method);
  }

  #of(known: Map<DescMethod, MethodTraffic>, method: DescMethod): MethodTraffic {
    const traffic = known.get(method) ?? new MethodTraffic();
    known.set(method, traffic);
    return traffic;
  }
}
