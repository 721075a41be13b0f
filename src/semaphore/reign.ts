import type { HedgerowError } from "../errors.ts";
import type { Claim, Leadership } from "../lock/lease.ts";
import type { Logger } from "../observe/logger.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Permit, SemaphoreStore } from "../store/ports.ts";
import { Desk, givenBack } from "./desk.ts";
import { EndedGrants } from "./ended.ts";
import type { Applicant, PermitRef } from "./line.ts";
import { Places } from "./places.ts";
import { Scribe } from "./scribe.ts";
import type { Answer } from "./state.ts";
import { GO_PATIENCE_MS, type PermitTiming } from "./timing.ts";

export interface ReignOptions {
  readonly store: SemaphoreStore;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly leadership: Leadership;
  readonly timing: PermitTiming;
  /** Incarnations of the members at an address. */
  readonly incarnationsAt: (address: string) => readonly number[];
  /** What is told to those who ask when the reign is over. */
  readonly notLeader: () => HedgerowError;
}

/** Outcome of an application, and when: the permit counts as heard of no sooner than then. */
export interface Applied {
  readonly answer: Answer;
  readonly at: number;
}

/** All that a leader keeps of semaphores under one token, in memory. */
export class Reign {
  readonly places: Places;
  readonly #desks = new Map<string, Desk>();
  readonly #ended: EndedGrants;
  readonly #scribe: Scribe;
  readonly #since: number;
  /** Permits at no desk were last heard of before this: by the leader before, or at a desk that was closed. */
  #heardBefore: number;

  constructor(
    readonly token: number,
    private readonly options: ReignOptions,
  ) {
    const { clock } = options.runtime;
    this.#since = clock.now();
    this.#heardBefore = this.#since;
    this.places = new Places(clock, options.timing);
    this.#ended = new EndedGrants(clock, options.timing.revokeAfterMs);
    this.#scribe = new Scribe({ ...options, claim: () => this.claim() });
  }

  /** null once the reign is over. */
  claim(): Claim | null {
    const claim = this.options.leadership.claim();
    return claim?.token === this.token ? claim : null;
  }

  async apply(semaphore: string, applicant: Applicant): Promise<Applied> {
    const { clock } = this.options.runtime;
    const { permit, waits } = applicant;
    if (waits) this.places.checkRoom();
    const desk = this.#desk(semaphore);
    let answer = await desk.apply(applicant);
    if (answer.kind === "waiting") {
      this.places.add(processOf(permit), desk, permit);
      // It may have come to its permit while the answer was on its way here.
      if (desk.find(permit) === true) answer = { kind: "acquired" };
    }
    const at = clock.now();
    if (answer.kind !== "acquired") return { answer, at };
    this.places.delete(processOf(permit), permit.grant);
    if (!desk.confirm(permit)) throw givenBack();
    return { answer, at };
  }

  async release(semaphore: string, permit: PermitRef): Promise<void> {
    this.#ended.add(permit.grant);
    await this.#desk(semaphore).release(permit);
  }

  /** Whether it is held still: then it counts as heard of. */
  renew(semaphore: string, permit: PermitRef): Promise<boolean> {
    return this.#desk(semaphore).renew(permit);
  }

  /** A process with this incarnation runs at the address: earlier ones are gone. */
  memberJoined(address: string, incarnation: number): void {
    const isGone = (permit: Permit) =>
      permit.holder === address && permit.incarnation < incarnation && this.#isGone(permit);
    for (const desk of this.#desks.values()) desk.revoke(isGone);
  }

  end(): void {
    this.places.end();
    for (const desk of this.#desks.values()) desk.end(this.options.notLeader());
    this.#desks.clear();
  }

  #desk(name: string): Desk {
    const known = this.#desks.get(name);
    if (known !== undefined) return known;
    const { leadership } = this.options;
    const desk: Desk = new Desk({
      ...this.options,
      name,
      scribe: this.#scribe,
      claim: () => this.claim(),
      onFenced: () => leadership.refute(this.token),
      isEnded: (grant) => this.#ended.has(grant),
      expiryOf: (permit, readBefore) => this.#expiryOf(permit, readBefore),
      onNews: (permit) => this.places.tell(processOf(permit)),
      onIdle: () => this.#close(name, desk),
    });
    this.#desks.set(name, desk);
    return desk;
  }

  #close(name: string, desk: Desk): void {
    if (this.#desks.get(name) !== desk) return;
    this.#desks.delete(name);
    this.#heardBefore = this.options.runtime.clock.now();
  }

  /** Whoever uses a permit tells each new leader so, and thereby opens its desk, before the permit expires here. */
  #expiryOf(permit: Permit, readBefore: boolean): number {
    if (this.#ended.has(permit.grant) || this.#isGone(permit)) return Number.NEGATIVE_INFINITY;
    if (permit.incarnation === 0) return this.#since + GO_PATIENCE_MS;
    const heardAt = readBefore ? this.options.runtime.clock.now() : this.#heardBefore;
    return heardAt + this.options.timing.revokeAfterMs;
  }

  /** Whether the process that holds it has been replaced by a later one at its address. */
  #isGone({ holder, incarnation, detached }: Permit): boolean {
    if (detached) return false;
    const present = this.options.incarnationsAt(holder);
    return !present.includes(incarnation) && present.some((other) => other > incarnation);
  }
}

/** Names the process that holds or wants a permit. */
export function processOf({ holder, incarnation }: Pick<Permit, "holder" | "incarnation">): string {
  return `${holder}/${incarnation}`;
}
