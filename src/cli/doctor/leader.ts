import { lockRowName } from "../../lock/row-name.ts";
import { leaseTiming } from "../../lock/timing.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { openStore } from "../../store/open.ts";
import type { LockRow, Store } from "../../store/ports.ts";
import { durationText } from "../values.ts";
import { failed, fine, type Finding } from "./finding.ts";
import type { StoreQuestion } from "./question.ts";

const PING_TIMEOUT_MS = 2_000;

export interface Opened {
  /** Milliseconds that the store took to answer. */
  readonly pingMs: number;
  /** Address of the node that the lock's row names, if its lease is not over. */
  readonly leader: string | null;
  /** Whether its lease is this node's, or that the row does not tell. */
  readonly lease: readonly Finding[];
}

/** Opens the store as a node does, asks it who leads, and closes it. */
export async function lookInside(question: StoreQuestion, runtime: Runtime): Promise<Opened> {
  await using stack = new AsyncDisposableStack();
  const store = await openStore(question.spec, { ...question, runtime });
  stack.defer(() => store.close());
  const started = runtime.clock.now();
  await store.ping({ timeoutMs: PING_TIMEOUT_MS });
  const pingMs = Math.ceil(runtime.clock.now() - started);
  const holder = await liveHolder(store, question);
  if (holder === null) return { pingMs, leader: null, lease: [] };
  return { pingMs, leader: holder.writer, lease: checkLease(holder, question.leaseMs) };
}

/** The lock's row, if nobody may take it over yet. */
async function liveHolder(
  store: Store,
  { lockName, leaseMs }: StoreQuestion,
): Promise<LockRow | null> {
  const row = await store.lock.read(lockRowName(lockName), { timeoutMs: PING_TIMEOUT_MS });
  if (row === null || row.ageMs === null) return null;
  return row.ageMs < leaseTiming(row.leaseMs ?? leaseMs).takeOverAgeMs ? row : null;
}

function checkLease(holder: LockRow, leaseMs: number): Finding[] {
  if (holder.leaseMs === null) {
    const untold = `the database does not tell that of ${holder.writer}, which leads: compare them`;
    return [fine("lease", `${durationText(leaseMs)}; ${untold}`)];
  }
  const theirs = durationText(holder.leaseMs);
  if (holder.leaseMs === leaseMs) return [fine("lease", `${theirs}, as ${holder.writer} has it`)];
  const problem = `${durationText(leaseMs)}, but ${holder.writer}, which leads, has ${theirs}`;
  return [failed("lease", problem, `give --lease ${theirs}, the same on all nodes`)];
}
