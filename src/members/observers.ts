import { DURATION_BOUNDS } from "../observe/call-counts.ts";
import { Histogram } from "../observe/histogram.ts";
import type { Clock } from "../runtime/runtime.ts";
import { type MemberRecord, PeerState } from "./member.ts";

/** Told of all members that count, this node included. Returning false ends that. */
export type Observer = (members: readonly MemberRecord[]) => unknown;

interface Observing {
  readonly tell: Observer;
  readonly participantsOnly: boolean;
  /** Who took part when it was last told. */
  participants: string;
  /** A call of it is under way; what changes meanwhile it hears afterwards. */
  busy: boolean;
  behind: boolean;
}

/**
 * Whoever wants to know of the members: told in the order of registration, in the background, and of the latest
 * state only, so that a slow observer misses what has passed already and holds nobody up.
 */
export class Observers {
  /** How long they took, in seconds. */
  readonly durations = new Histogram(DURATION_BOUNDS);
  readonly #observing = new Set<Observing>();
  #members: readonly MemberRecord[] = [];
  #due = false;

  /** `failed` is told what an observer throws; it goes on being told. */
  constructor(
    private readonly clock: Pick<Clock, "now">,
    private readonly failed: (error: unknown) => void,
  ) {}

  get size(): number {
    return this.#observing.size;
  }

  /** Whether one of them has not ended what it was told to do. */
  get busy(): boolean {
    return [...this.#observing].some(({ busy }) => busy);
  }

  /** With `participantsOnly` it is told only when the set of participants has changed. The result ends it. */
  observe(tell: Observer, participantsOnly: boolean): () => void {
    const participants = participantsOf(this.#members);
    const observing = { tell, participantsOnly, participants, busy: false, behind: false };
    this.#observing.add(observing);
    return () => this.#observing.delete(observing);
  }

  /** The members have changed. */
  notify(members: readonly MemberRecord[]): void {
    this.#members = members;
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      for (const observing of this.#observing) void this.#tell(observing);
    });
  }

  async #tell(observing: Observing): Promise<void> {
    observing.behind = true;
    if (observing.busy) return;
    while (observing.behind && this.#observing.has(observing)) {
      observing.behind = false;
      if (!this.#concerns(observing)) return;
      observing.busy = true;
      const startedAt = this.clock.now();
      try {
        if ((await observing.tell(this.#members)) === false) this.#observing.delete(observing);
      } catch (error) {
        this.failed(error);
      }
      observing.busy = false;
      this.durations.observe((this.clock.now() - startedAt) / 1e3);
    }
  }

  #concerns(observing: Observing): boolean {
    if (!observing.participantsOnly) return true;
    const participants = participantsOf(this.#members);
    if (participants === observing.participants) return false;
    observing.participants = participants;
    return true;
  }
}

function participantsOf(members: readonly MemberRecord[]): string {
  return members
    .filter(({ state }) => state === PeerState.PARTICIPANT)
    .map(({ name, address }) => `${name} ${address}`)
    .join("\n");
}
