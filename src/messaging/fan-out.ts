import type { StreamInput } from "../rpc/port.ts";
import type { Clock, Timer } from "../runtime/runtime.ts";

type Message = Uint8Array | string;
type Result = IteratorResult<Message, undefined>;

const DONE: Result = { done: true, value: undefined };

/** How far the fastest branch may be ahead of the slowest. */
const MAX_AHEAD_MESSAGES = 256;
const MAX_AHEAD_BYTES = 1024 * 1024;

export interface FanOutOptions {
  readonly clock: Clock;
  readonly input: StreamInput;
  readonly branches: number;
  /** A branch that takes nothing for so many milliseconds, while others wait for it, is given up. */
  readonly stallMs: number;
  /** Told of it; the branch has ended. */
  readonly onStalled: (branch: number) => void;
}

/** One input for several readers, each of which sees all of it. The slowest sets the pace. */
export class FanOut {
  readonly branches: readonly Branch[];
  readonly #source: AsyncIterator<Message> | Iterator<Message>;
  /** What the slowest branch has not taken yet, and its number. */
  #messages: Message[] = [];
  #first = 0;
  #bytes = 0;
  #end: { readonly error: unknown } | "well" | null = null;
  #reading = false;
  #stall: Timer | null = null;

  constructor(private readonly options: FanOutOptions) {
    const { input } = options;
    this.#source =
      Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]();
    this.branches = Array.from({ length: options.branches }, () => new Branch(this));
  }

  /** What comes after the branch's last one; null if it has to wait. */
  at(place: number): Result | { readonly error: unknown } | null {
    const value = this.#messages[place - this.#first];
    if (value !== undefined) return { done: false, value };
    if (this.#end === null) return null;
    return this.#end === "well" ? DONE : this.#end;
  }

  /** A branch has moved on, waits or has left. */
  changed(): void {
    this.#drop();
    const open = this.branches.filter((branch) => branch.open);
    if (open.length === 0) this.#leave();
    else if (open.some((branch) => branch.waiting)) this.#read(open);
  }

  #read(open: readonly Branch[]): void {
    if (this.#reading || this.#end !== null) return;
    if (this.#messages.length >= MAX_AHEAD_MESSAGES || this.#bytes >= MAX_AHEAD_BYTES) {
      const { clock, stallMs } = this.options;
      this.#stall ??= clock.schedule(stallMs, () => this.#giveUp(open));
      return;
    }
    this.#reading = true;
    void (async () => this.#source.next())().then(
      ({ done, value }) => this.#got(done ? "well" : null, value),
      (error: unknown) => this.#got({ error }),
    );
  }

  #got(end: { readonly error: unknown } | "well" | null, value?: Message): void {
    this.#reading = false;
    if (this.#end !== null) return;
    if (end === null) {
      this.#messages.push(copyOf(value as Message));
      this.#bytes += (value as Message).length;
    } else {
      this.#end = end;
    }
    for (const branch of this.branches) branch.wake();
    this.changed();
  }

  /** Forgets what all have taken. */
  #drop(): void {
    let slowest = Infinity;
    for (const branch of this.branches) if (branch.open) slowest = Math.min(slowest, branch.place);
    const taken = Math.min(this.#messages.length, slowest - this.#first);
    if (taken <= 0) return;
    for (const message of this.#messages.splice(0, taken)) this.#bytes -= message.length;
    this.#first += taken;
    this.#stall?.cancel();
    this.#stall = null;
  }

  #giveUp(open: readonly Branch[]): void {
    this.#stall = null;
    for (const branch of open) {
      if (!branch.open || branch.place > this.#first || branch.waiting) continue;
      void branch.return();
      this.options.onStalled(this.branches.indexOf(branch));
    }
  }

  #leave(): void {
    this.#stall?.cancel();
    if (this.#end !== null) return;
    this.#end = "well";
    this.#messages = [];
    void (async () => this.#source.return?.())().catch(() => {}); // nobody is there to tell
  }
}

/** The source may use its buffer again for the next message, while slower branches still send this one. */
function copyOf(message: Message): Message {
  return message instanceof Uint8Array ? new Uint8Array(message) : message;
}

/** What one reader sees of the input. */
export class Branch implements AsyncIterableIterator<Message, undefined, undefined> {
  place = 0;
  open = true;
  #waiting: { resolve(result: Result): void; reject(error: unknown): void } | null = null;

  constructor(private readonly all: FanOut) {}

  get waiting(): boolean {
    return this.#waiting !== null;
  }

  next(): Promise<Result> {
    if (!this.open) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.wake();
      this.all.changed();
    });
  }

  /** Gives what is waited for, if it is there. */
  wake(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    const next = this.all.at(this.place);
    if (next === null) return;
    this.#waiting = null;
    if ("error" in next) {
      this.open = false;
      waiting.reject(next.error);
    } else {
      if (next.done) this.open = false;
      else this.place++;
      waiting.resolve(next);
    }
  }

  return(): Promise<Result> {
    this.open = false;
    this.#waiting?.resolve(DONE);
    this.#waiting = null;
    this.all.changed();
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
