import type { Subprocess } from "bun";
import { endProcess, startProgram, waitUntil } from "./processes.ts";

const SETTLE_DEADLINE_MS = 30_000;
const ATTEMPT_EVERY_MS = 10;

/** One member of a cluster of processes, numbered from 0. */
export interface Member {
  /** The command that starts it, the same each time. */
  readonly command: readonly string[];
  readonly ready: () => Promise<boolean>;
  /** Number of the leader that it knows, or null. */
  readonly leader: () => Promise<number | null>;
  /** Whether a put through it was accepted. */
  readonly put: () => Promise<boolean>;
}

/** Real processes that elect a leader, which can be killed and brought back. */
export class Cluster implements AsyncDisposable {
  readonly #children: Subprocess[] = [];

  private constructor(readonly members: readonly Member[]) {}

  static async start(members: readonly Member[]): Promise<Cluster> {
    const cluster = new Cluster(members);
    try {
      // At once: some clusters are ready only when most of their members run.
      const started = members.map(async (member, i) => {
        cluster.#children[i] = await startProgram(member.command, member);
      });
      await Promise.all(started);
      await cluster.settled();
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** All know one leader and a put is accepted: its number. */
  async settled(): Promise<number> {
    let leader: number | null = null;
    await waitUntil("all members agree on a leader", SETTLE_DEADLINE_MS, async () => {
      const known = await Promise.all(this.members.map((member) => member.leader()));
      leader = known[0] ?? null;
      return leader !== null && known.every((other) => other === leader);
    });
    await waitUntil("a put is accepted", SETTLE_DEADLINE_MS, () => this.#member(0).put());
    return leader as unknown as number;
  }

  /** Signals the leader: the longest time in milliseconds without an accepted put from then on. */
  async failOver(signal: "SIGKILL" | "SIGTERM"): Promise<number> {
    const leader = await this.settled();
    const old = this.#child(leader);
    const survivors = this.members.filter((_, number) => number !== leader);
    old.kill(signal);
    const outageMs = await longestOutage(survivors, old);
    await endProcess(old);
    const member = this.#member(leader);
    this.#children[leader] = await startProgram(member.command, member);
    return outageMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => endProcess(child)));
  }

  #member(number: number): Member {
    return this.members[number] as Member;
  }

  #child(number: number): Subprocess {
    return this.#children[number] as Subprocess;
  }
}

/**
 * Puts at a steady rate through the survivors in turn, whether or not earlier ones were answered, until
 * one that began after the old leader's end has been accepted.
 */
async function longestOutage(survivors: readonly Member[], old: Subprocess): Promise<number> {
  let endedAt = Number.POSITIVE_INFINITY;
  void old.exited.then(() => {
    endedAt = performance.now();
  });
  let lastAccepted = performance.now();
  let longestMs = 0;
  let over = false;
  const attempt = async (member: Member) => {
    const began = performance.now();
    if (!(await member.put()) || over) return;
    const accepted = performance.now();
    longestMs = Math.max(longestMs, accepted - lastAccepted);
    lastAccepted = accepted;
    over = began > endedAt;
  };
  const attempts: Promise<void>[] = [];
  const end = performance.now() + SETTLE_DEADLINE_MS;
  while (!over) {
    if (performance.now() > end) throw new Error("no put was accepted after the leader's end");
    attempts.push(attempt(survivors[attempts.length % survivors.length] as Member));
    await Bun.sleep(ATTEMPT_EVERY_MS);
  }
  await Promise.all(attempts);
  return longestMs;
}
