import { type GossipTiming, suspicionMs } from "./timing.ts";

/** `suspicionMs`, which is asked of every suspect each time: reckoned once per number of members and of accusers. */
export class SuspicionTimes {
  #members = 0;
  #ms: number[] = [];

  constructor(private readonly timing: GossipTiming) {}

  /** How long a suspect has in a cluster of `members`; Infinity accusers give the least time. */
  ms(members: number, accusers: number): number {
    if (members !== this.#members) {
      this.#members = members;
      this.#ms = [];
    }
    const counted = Math.min(accusers, this.timing.confirmations + 1);
    const known = this.#ms[counted];
    if (known !== undefined) return known;
    const ms = suspicionMs(this.timing, members, counted);
    this.#ms[counted] = ms;
    return ms;
  }
}
