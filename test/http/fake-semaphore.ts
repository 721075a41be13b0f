import { HedgerowError } from "../../src/errors.ts";
import type * as api from "../../src/node/api.ts";

/** One permit in all, held for as long as is said, and what was asked. */
export class FakeSemaphore {
  readonly asked: string[] = [];
  /** The callers', in the same order. */
  readonly signals: (AbortSignal | undefined)[] = [];
  heldForMs = 1_000;
  /** Ends the claim of the permit that is held. */
  lost = new AbortController();
  holder: string | null = null;
  /** Acquisitions wait for this. */
  gate: Promise<void> = Promise.resolve();

  readonly semaphore = (name: string, limit: number): api.Semaphore => {
    const take =
      (how: string) =>
      (options: api.PermitOptions = {}) =>
        this.#take(name, `${how} ${name} ${limit} ${options.timeoutMs ?? "none"}`, options);
    return { name, limit, acquire: take("acquire"), tryAcquire: take("tryAcquire") };
  };

  async #take(
    semaphore: string,
    what: string,
    { owner = "", detached = false, signal }: api.PermitOptions,
  ): Promise<api.HeldPermit> {
    this.asked.push(`${what} ${detached ? "detached" : "own"}`);
    this.signals.push(signal);
    await this.gate;
    if (signal?.aborted) throw new HedgerowError("canceled", "cancelled by the caller");
    if (this.holder !== null) throw new HedgerowError("taken", "semaphore full");
    this.holder = owner;
    this.lost = new AbortController();
    const { lost } = this;
    const fake = this;
    const release = async () => {
      if (fake.holder === owner) fake.holder = null;
    };
    return {
      semaphore,
      owner,
      signal: lost.signal,
      get heldForMs() {
        return lost.signal.aborted ? 0 : fake.heldForMs;
      },
      release,
      [Symbol.asyncDispose]: release,
    };
  }
}
