import { HedgerowError } from "../errors.ts";
import type { HeldPermit } from "./held-permit.ts";

/** Acquisitions of one node at a time, those that are being given back included. */
const MAX_SLOTS = 10_000;

/** What an owner has of a semaphore at this node. */
export interface Slot {
  /** null while it is being acquired. */
  permit: HeldPermit | null;
  /** Whether a leader may know of it. */
  asked: boolean;
  /** Resolves once the leader has it back; null while it is wanted. */
  leaving: Promise<void> | null;
}

/** One acquisition per owner and semaphore. */
export class Slots {
  readonly #slots = new Map<string, Slot>();

  *[Symbol.iterator](): IterableIterator<Slot> {
    yield* [...this.#slots.values()];
  }

  /**
   * Takes the owner's slot. Gives what is in the way, if that goes: to be tried again then. Throws
   * `already_held`, `overloaded`.
   */
  take(semaphore: string, owner: string): Slot | Promise<void> {
    const key = keyOf(semaphore, owner);
    const present = this.#slots.get(key);
    if (present === undefined) {
      if (this.#slots.size >= MAX_SLOTS) {
        throw new HedgerowError(
          "overloaded",
          `semaphores: ${MAX_SLOTS} are in use at this node: use another node`,
        );
      }
      const slot: Slot = { permit: null, asked: false, leaving: null };
      this.#slots.set(key, slot);
      return slot;
    }
    if (present.leaving !== null) return present.leaving;
    // Who comes again knows that it lost what it had.
    if (present.permit !== null && !present.permit.held) return present.permit.release();
    throw alreadyHeld(semaphore, owner);
  }

  delete(semaphore: string, owner: string, slot: Slot): void {
    const key = keyOf(semaphore, owner);
    if (this.#slots.get(key) === slot) this.#slots.delete(key);
  }
}

export function alreadyHeld(semaphore: string, owner: string): HedgerowError {
  const what = `${owner} has a permit of ${semaphore}, or waits for one`;
  return new HedgerowError("already_held", `${what}: name another owner`);
}

/** Names of semaphores have no whitespace. */
function keyOf(semaphore: string, owner: string): string {
  return `${semaphore} ${owner}`;
}
