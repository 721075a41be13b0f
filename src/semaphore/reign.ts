import { HedgerowError } from "../errors.ts";
import type { Claim, Leadership } from "../lock/lease.ts";
import type { Logger } from "../observe/logger.ts";
import { SeldomWarner } from "../observe/seldom.ts";
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
  /** Address of this node. */
  readonly self: string;
  /** Incarnations of the members at an address. */
  readonly incarnationsAt: (address: string) => readonly number[];
  /** Resolves once the process at an address has heard of the members that this node knows, and has told its own. */
  readonly meet: (address: string) => Promise<void>;
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
  readonly #warner: SeldomWarner;
  readonly #since: number;
  /** Permits at no desk were last heard of before this: by the leader before, or at a desk that was closed. */
  #heardBefore: number;
  /** Addresses whose processes are being met, with whether there was news of them since. */
  readonly #meeting = new Map<string, boolean>();

  constructor(
    readonly token: number,
    private readonly options: ReignOptions,
  ) {
    const { clock } = options.runtime;
    this.#warner = new SeldomWarner(clock, options.logger);
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

  /** Another process than before may run at the address: the permits of those that are gone are free. */
  memberJoined(address: string): void {
    const desks = [...this.#desks.values()];
    const isGone = this.#isGoneAt(address);
    if (desks.some((desk) => desk.some(isGone))) void this.#revokeAt(address);
  }

  /**
   * What is said of an address may be of an earlier process there, whose wall clock was ahead. So the process that
   * is there now is told first: it takes a greater incarnation, and has lost the permits of its former one, before
   * it answers. Where nobody answers, permits end with their leases.
   */
  async #revokeAt(address: string): Promise<void> {
    const asked = this.#meeting.has(address);
    this.#meeting.set(address, asked);
    if (asked) return;
    do {
      this.#meeting.set(address, false);
      if (!(await this.#meet(address))) continue;
      for (const desk of this.#desks.values()) desk.revoke(this.#isGoneAt(address));
    } while (this.#meeting.get(address) === true);
    this.#meeting.delete(address);
  }

  async #meet(address: string): Promise<boolean> {
    const { self, meet, logger } = this.options;
    try {
      await (address === self ? undefined : meet(address));
      return true;
    } catch (thrown) {
      const { code, message: error } = HedgerowError.from(thrown);
      logger.debug("holder not met", { holder: address, code, error });
      return false;
    }
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
      warner: this.#warner,
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
    if (this.#ended.has(permit.grant)) return Number.NEGATIVE_INFINITY;
    if (this.#seemsGone(permit)) void this.#revokeAt(permit.holder);
    if (permit.incarnation === 0) return this.#since + GO_PATIENCE_MS;
    const heardAt = readBefore ? this.options.runtime.clock.now() : this.#heardBefore;
    return heardAt + this.options.timing.revokeAfterMs;
  }

  #isGoneAt(address: string): (permit: Permit) => boolean {
    return (permit) => permit.holder === address && this.#seemsGone(permit);
  }

  /** Whether, as far as is said, the process that holds it has been replaced by a later one at its address. */
  #seemsGone({ holder, incarnation, detached }: Permit): boolean {
    if (detached) return false;
    const present = this.options.incarnationsAt(holder);
    return !present.includes(incarnation) && present.some((other) => other > incarnation);
  }
}

/** Names the process that holds or wants a permit. */
export function processOf({ holder, incarnation }: Pick<Permit, "holder" | "incarnation">): string {
  return `${holder}/${incarnation}`;
}
