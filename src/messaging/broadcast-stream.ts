import { HedgerowError } from "../errors.ts";
import type { Address, Replies, StreamCallOptions, StreamInput } from "../rpc/port.ts";
import type { Operation } from "../runtime/operation.ts";
import type { Clock } from "../runtime/runtime.ts";
import { type Branch, FanOut } from "./fan-out.ts";
import type { Reply } from "./targets.ts";

/** Milliseconds that the members wait for one of them to take a message. */
const STALL_MS = 30_000;
/** A stream must have found its other end within so many milliseconds. */
const OPENING_MS = 10_000;

export interface BroadcastStream {
  /** Ends all streams when it ends; it is disposed when they have. */
  readonly life: Operation;
  readonly clock: Clock;
  readonly input: StreamInput;
  readonly targets: readonly Address[];
  open(to: Address, input: StreamInput, call: StreamCallOptions): Promise<Replies>;
}

/** Begins at once. The slowest of the members and the reader of the replies set the pace. */
export function broadcastStream(stream: BroadcastStream): AsyncIterableIterator<Reply, undefined> {
  return new Broadcast(stream);
}

type Result = IteratorResult<Reply, undefined>;

const DONE: Result = { done: true, value: undefined };

/** Merges the members' replies: of each at most one waits for the reader. */
class Broadcast implements AsyncIterableIterator<Reply, undefined, undefined> {
  readonly #ready: { readonly reply: Reply; readonly taken: () => void }[] = [];
  readonly #readers: ((result: Result) => void)[] = [];
  readonly #members: readonly AbortController[];
  #open: number;

  constructor(private readonly stream: BroadcastStream) {
    const { clock, input, life, targets } = stream;
    this.#members = targets.map(() => new AbortController());
    this.#open = targets.length;
    const { branches } = new FanOut({
      clock,
      input,
      branches: targets.length,
      stallMs: STALL_MS,
      onStalled: (index) => this.#members[index]?.abort(stalled()),
    });
    const { signal } = life;
    const end = () => {
      for (const member of this.#members) member.abort(signal.reason);
    };
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) end();
    for (const [index, branch] of branches.entries()) {
      void this.#follow(targets[index] as Address, branch, this.#members[index] as AbortController);
    }
    if (targets.length === 0) life[Symbol.dispose]();
  }

  next(): Promise<Result> {
    const ready = this.#ready.shift();
    if (ready !== undefined) {
      ready.taken();
      return Promise.resolve({ done: false, value: ready.reply });
    }
    if (this.#open === 0) return Promise.resolve(DONE);
    return new Promise((resolve) => void this.#readers.push(resolve));
  }

  async return(): Promise<Result> {
    this.stream.life.abandon();
    for (const { taken } of this.#ready.splice(0)) taken();
    for (const reader of this.#readers.splice(0)) reader(DONE);
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #follow(node: Address, branch: Branch, { signal }: AbortController): Promise<void> {
    try {
      const call = { signal, timeoutMs: OPENING_MS };
      const replies = await this.stream.open(node, branch, call);
      for await (const data of replies) await this.#give({ node, data });
    } catch (error) {
      await this.#give({ node, error: HedgerowError.from(error) });
    }
    void branch.return(); // where it was never opened
    this.#open--;
    if (this.#open > 0) return;
    this.stream.life[Symbol.dispose]();
    for (const reader of this.#readers.splice(0)) reader(DONE);
  }

  /** Resolves when the reader has it. */
  #give(reply: Reply): Promise<void> {
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader({ done: false, value: reply });
      return Promise.resolve();
    }
    return new Promise((taken) => void this.#ready.push({ reply, taken }));
  }
}

function stalled(): HedgerowError {
  const message = `it took nothing for ${STALL_MS / 1e3} s while the other members waited`;
  return new HedgerowError("timeout", message);
}
