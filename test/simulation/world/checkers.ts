import { leaseTiming } from "../../../src/lock/timing.ts";
import { LOCK_ROW_PREFIX } from "../../../src/store/limits.ts";
import type {
  AppendOutcome,
  Fence,
  NewEntry,
  StoredEntry,
  TakeOver,
} from "../../../src/store/ports.ts";
import type { SimulatedCluster } from "./cluster.ts";
import { MAX_DRIFT } from "./machine.ts";
import type { CommitObserver } from "./store.ts";
import { isRefused, type PutRecord } from "./workload.ts";

/** Watches the database's commits from outside of the system. */
export class CommitChecker implements CommitObserver {
  readonly violations: string[] = [];
  /** Of our take-overs. */
  readonly tokens: number[] = [];
  /** Of take-overs of locks beside the leader's, by name. */
  readonly named = new Map<string, number[]>();
  /** Take-overs of Go contenders, and ours past a marker that they had left. */
  goTakeOvers = 0;
  markersOvercome = 0;
  /** Who wrote itself into the lock's row last, and when. */
  holder: string | null = null;
  heldSince = 0;
  /** The row's. Go contenders write tokens that are older than ours; ours are the newest of all. */
  #token: number | null = null;
  #newestToken = 0;
  /** When Go contenders inserted the markers that stand, by the token that they judged. */
  readonly #marked = new Map<number | null, number>();

  acquired(token: number, takeOver: TakeOver, at: number): void {
    const { name, writer, expectedToken, minAgeMs } = takeOver;
    if (!name.startsWith(LOCK_ROW_PREFIX)) {
      this.#acquiredNamed(token, name);
      return;
    }
    if (token <= this.#newestToken) {
      this.violations.push(`token ${token} follows ${this.#newestToken}`);
    }
    const markedAt = this.#marked.get(expectedToken);
    if (markedAt !== undefined) this.markersOvercome++;
    // The contender waited by its own clock, which may be fast.
    if (markedAt !== undefined && at - markedAt < minAgeMs / (1 + MAX_DRIFT)) {
      this.violations.push(`${writer} took over ${at - markedAt} ms after a Go contender's marker`);
    }
    this.tokens.push(token);
    this.#write(token, writer, at);
  }

  marked(judged: number | null, at: number): void {
    this.#marked.set(judged, at);
  }

  unmarked(): void {
    this.#marked.clear();
  }

  overwritten(token: number, writer: string, at: number): void {
    this.goTakeOvers++;
    this.#write(token, writer, at);
  }

  appended(
    entries: readonly NewEntry[],
    outcomes: readonly AppendOutcome[],
    fence: Fence | null,
  ): void {
    if (!outcomes.some((outcome) => outcome.kind === "written")) return;
    const current = this.#token;
    if (fence !== null && fence.token !== current) {
      this.violations.push(
        `a write under token ${fence.token} committed after take-over ${current}`,
      );
    }
    const writer = entries[0]?.leader;
    if (writer !== this.holder) {
      this.violations.push(
        `${writer} wrote as a former leader: ${this.holder} has token ${current}`,
      );
    }
  }

  #acquiredNamed(token: number, name: string): void {
    const tokens = this.named.get(name) ?? [];
    this.named.set(name, tokens);
    const last = tokens.at(-1) ?? 0;
    if (token <= last) this.violations.push(`token ${token} of lock ${name} follows ${last}`);
    tokens.push(token);
  }

  #write(token: number, writer: string, at: number): void {
    this.#token = token;
    this.#newestToken = Math.max(this.#newestToken, token);
    this.holder = writer;
    this.heldSince = at;
  }
}

/** At no moment do two nodes believe that they lead. Asked after every event. */
export function checkSingleLeader(
  cluster: SimulatedCluster,
  violations: string[],
  leaders = cluster.leaders(),
): void {
  if (leaders.length > 1 && violations.length < 10) {
    const names = leaders.map((node) => node.address).join(" and ");
    violations.push(`${cluster.scheduler.now.toFixed(1)}: ${names} lead at once`);
  }
}

/**
 * Whose token the row has lost does not lead any longer than its last renewal could let it, which was sent
 * before. Asked after every event.
 */
export function checkLostToken(
  cluster: SimulatedCluster,
  { holder, heldSince }: CommitChecker,
  violations: string[],
  leaders = cluster.leaders(),
): void {
  const { scheduler, options } = cluster;
  // By its own clock, which may be slow.
  const holdMs = leaseTiming(options.leaseMs).holdMs / (1 - MAX_DRIFT);
  if (scheduler.now - heldSince < holdMs) return;
  for (const { address } of leaders) {
    if (address === holder || violations.length >= 10) continue;
    const at = scheduler.now.toFixed(1);
    violations.push(`${at}: ${address} leads, though ${holder} wrote the row at ${heldSince}`);
  }
}

/** Every acknowledged put is there exactly once, with its value and time; nothing is there that nobody put. */
export function checkLog(
  puts: readonly PutRecord[],
  stored: ReadonlyMap<string, readonly StoredEntry[]>,
): string[] {
  const violations: string[] = [];
  const known = new Map(puts.map((put) => [`${put.key} ${put.id}`, put]));
  for (const [key, entries] of stored) {
    const ids = new Set<string>();
    for (const entry of entries) {
      if (ids.has(entry.id)) violations.push(`${key} ${entry.id} is there twice`);
      ids.add(entry.id);
      const put = known.get(`${key} ${entry.id}`);
      if (put?.value !== entry.value) violations.push(`${key} ${entry.id} was never put so`);
    }
  }
  for (const put of puts) {
    if (put.outcome !== "ok") continue;
    const entry = stored.get(put.key)?.find((candidate) => candidate.id === put.id);
    if (entry === undefined) violations.push(`acknowledged ${put.key} ${put.id} is lost`);
    else if (entry.timestamp !== put.timestamp) violations.push(`${put.id} has another time`);
  }
  return violations;
}

/** Of two puts to one key, the one acknowledged before the other began is older. */
export function checkRealTimeOrder(puts: readonly PutRecord[]): string[] {
  const violations: string[] = [];
  const acknowledged = puts.filter((put) => put.outcome === "ok");
  for (const key of new Set(acknowledged.map((put) => put.key))) {
    const ofKey = acknowledged.filter((put) => put.key === key);
    ofKey.sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0));
    let newestEnded = 0;
    let next = 0;
    for (const put of [...ofKey].sort((a, b) => a.startedAt - b.startedAt)) {
      for (
        let done = ofKey[next];
        done && (done.endedAt ?? 0) < put.startedAt;
        done = ofKey[++next]
      ) {
        newestEnded = Math.max(newestEnded, done.timestamp ?? 0);
      }
      if ((put.timestamp ?? 0) <= newestEnded) {
        violations.push(`${key} ${put.id} is older than one acknowledged before it began`);
      }
    }
  }
  return violations;
}

/**
 * What was acknowledged on a condition follows the version that it names, which no other does; what was
 * refused is not there.
 */
export function checkConditions(
  puts: readonly PutRecord[],
  stored: ReadonlyMap<string, readonly StoredEntry[]>,
): string[] {
  const violations: string[] = [];
  for (const put of puts) {
    const { key, id, ifVersion, outcome } = put;
    const newestFirst = stored.get(key) ?? [];
    const at = newestFirst.findIndex((entry) => entry.id === id);
    if (at >= 0 && isRefused(put)) {
      violations.push(`${key} ${id} ended with ${outcome}, and is there`);
    }
    if (ifVersion === undefined || at < 0) continue;
    const before = newestFirst[at + 1]?.id ?? "";
    if (before !== ifVersion) {
      violations.push(`${key} ${id} follows ${before || "nothing"}, not ${ifVersion || "nothing"}`);
    }
  }
  return violations;
}
