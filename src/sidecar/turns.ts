import { HedgerowError } from "../errors.ts";

/** What is let run at once, and what may wait for that, first come, first served. */
export class Turns {
  #running = 0;
  #waitingBytes = 0;
  readonly #waiting = new Set<() => void>();

  constructor(
    private readonly maxRunning: number,
    private readonly maxWaiting: { readonly messages: number; readonly bytes: number },
  ) {}

  /** Runs `work`, which holds so many bytes, when it is its turn. Throws `overloaded` at once if too much waits, and the signal's reason. */
  async run<T>(signal: AbortSignal, bytes: number, work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.maxRunning) await this.#wait(signal, bytes);
    else this.#running++;
    try {
      return await work();
    } finally {
      // The turn goes on to the next, or ends.
      const [next] = this.#waiting;
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #wait(signal: AbortSignal, bytes: number): Promise<void> {
    const { messages, bytes: maxBytes } = this.maxWaiting;
    if (this.#waiting.size >= messages || this.#waitingBytes + bytes > maxBytes) {
      const waiting = `${this.#waiting.size} messages wait for the service`;
      throw new HedgerowError("overloaded", `${waiting}: try again later`);
    }
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      const leave = () => {
        this.#waiting.delete(turn);
        this.#waitingBytes -= bytes;
        signal.removeEventListener("abort", abort);
      };
      const turn = () => {
        leave();
        resolve();
      };
      const abort = () => {
        leave();
        reject(signal.reason as Error);
      };
      this.#waiting.add(turn);
      this.#waitingBytes += bytes;
      signal.addEventListener("abort", abort, { once: true });
    });
  }
}
