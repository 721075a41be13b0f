import type { AppendOutcome, Fence, NewEntry, StoredEntry } from "../../../src/store/ports.ts";
import type { SimulatedCluster } from "./cluster.ts";
import type { CommitObserver } from "./store.ts";
import type { PutRecord } from "./workload.ts";

/** Watches the database's commits from outside of the system. */
export class CommitChecker implements CommitObserver {
  readonly violations: string[] = [];
  readonly tokens: number[] = [];
  holder: string | null = null;

  acquired(token: number, writer: string): void {
    const last = this.tokens.at(-1);
    if (last !== undefined && token <= last) {
      this.violations.push(`token ${token} follows ${last}`);
    }
    this.tokens.push(token);
    this.holder = writer;
  }

  appended(
    entries: readonly NewEntry[],
    outcomes: readonly AppendOutcome[],
    fence: Fence | null,
  ): void {
    if (!outcomes.some((outcome) => outcome.kind === "written")) return;
    const current = this.tokens.at(-1);
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
}

/** At no moment do two nodes believe that they lead. Asked after every event. */
export function checkSingleLeader(cluster: SimulatedCluster, violations: string[]): void {
  const leaders = cluster.leaders();
  if (leaders.length > 1 && violations.length < 10) {
    const names = leaders.map((node) => node.address).join(" and ");
    violations.push(`${cluster.scheduler.now.toFixed(1)}: ${names} lead at once`);
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
