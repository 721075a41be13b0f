import type { HedgerowError } from "../../errors.ts";
import type { Received } from "../port.ts";

type Result = IteratorResult<Uint8Array, undefined>;

interface Waiting {
  resolve(result: Result): void;
  reject(error: HedgerowError): void;
}

const DONE: Result = { done: true, value: undefined };
const NOTHING = new Uint8Array();
/** Places of messages that were read, before the others are moved up. */
const MAX_PASSED = 4_096;

/**
 * The messages that one end of a stream has received, for its reader. What came before the end of the stream is
 * read before it, also where that is an error.
 */
export class Inbox implements Received {
  #messages: Uint8Array[] = [];
  #next = 0;
  readonly #waiting: Waiting[] = [];
  #end: HedgerowError | "well" | null = null;
  /** Of `each`: takes what comes. */
  #take: ((message: Uint8Array) => void) | null = null;

  constructor(
    /** The reader has taken a message. */
    private readonly onTaken: (message: Uint8Array) => void,
    /** The reader wants no more of them. */
    private readonly onLeft: () => void,
    /** Called before a message is given; may end the inbox. */
    private readonly beforeRead?: () => void,
  ) {}

  /** Whether what is pushed is done with on the spot. */
  get passesOn(): boolean {
    return this.#take !== null || this.#end !== null;
  }

  push(message: Uint8Array): void {
    if (this.#end !== null) return;
    if (this.#take !== null) {
      this.onTaken(message);
      this.#take(message);
      return;
    }
    const waiting = this.#waiting.shift();
    if (waiting === undefined) {
      this.#messages.push(message);
      return;
    }
    this.onTaken(message);
    waiting.resolve({ done: false, value: message });
  }

  /** Nothing more comes. The first end counts. */
  end(error: HedgerowError | null): void {
    if (this.#end !== null) return;
    this.#end = error ?? "well";
    for (const waiting of this.#waiting.splice(0)) this.#finish(waiting);
  }

  /** The same, and what has not been read is dropped. */
  cut(error: HedgerowError): void {
    this.#messages = [];
    this.#next = 0;
    this.end(error);
  }

  each(take: (message: Uint8Array) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#take = (message) => {
        try {
          take(message);
        } catch (error) {
          reject(error as Error);
          void this.return();
        }
      };
      const before = this.#messages.slice(this.#next);
      this.#messages = [];
      this.#next = 0;
      for (const message of before) {
        if (this.#take === null) return; // it has thrown
        this.onTaken(message);
        this.#take(message);
      }
      this.next().then(() => resolve(), reject);
    });
  }

  next(): Promise<Result> {
    this.beforeRead?.();
    if (this.#next < this.#messages.length) {
      const value = this.#messages[this.#next] as Uint8Array;
      this.#messages[this.#next] = NOTHING; // what has been read is not kept
      this.#next++;
      if (this.#next === this.#messages.length || this.#next === MAX_PASSED) {
        this.#messages = this.#messages.slice(this.#next);
        this.#next = 0;
      }
      this.onTaken(value);
      return Promise.resolve({ done: false, value });
    }
    return new Promise((resolve, reject) => {
      if (this.#end === null) this.#waiting.push({ resolve, reject });
      else this.#finish({ resolve, reject });
    });
  }

  return(): Promise<Result> {
    this.#take = null;
    this.#messages = [];
    this.#next = 0;
    this.end(null);
    this.#end = "well"; // an error that nobody has read is nobody's any more
    this.onLeft();
    return Promise.resolve(DONE);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** An error is thrown once, as generators do. */
  #finish({ resolve, reject }: Waiting): void {
    const end = this.#end;
    this.#end = "well";
    if (end === null || end === "well") resolve(DONE);
    else reject(end);
  }
}
