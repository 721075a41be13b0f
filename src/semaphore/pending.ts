import type { HedgerowError } from "../errors.ts";
import type { PermitRef } from "./line.ts";

interface Asking<T> {
  readonly ref: PermitRef;
  readonly resolve: (answer: T) => void;
  readonly reject: (error: HedgerowError) => void;
}

/** Those who wait for an answer about their permits. */
export class Pending<T> {
  #asking: Asking<T>[] = [];

  /** Resolves when an answer is known. */
  add(ref: PermitRef): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#asking.push({ ref, resolve, reject });
    });
  }

  /** Answers those of whom `answerOf` knows something; undefined: not yet. */
  answer(answerOf: (ref: PermitRef) => T | undefined): void {
    const asking = this.#asking;
    this.#asking = [];
    for (const each of asking) {
      const answer = answerOf(each.ref);
      if (answer === undefined) this.#asking.push(each);
      else each.resolve(answer);
    }
  }

  fail(error: HedgerowError): void {
    for (const { reject } of this.#asking.splice(0)) reject(error);
  }
}
