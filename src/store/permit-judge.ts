import type { AcquireOutcome, Entry, Permit, PermitChange, SemaphoreRows } from "./ports.ts";
import {
  type FoundRows,
  limitRow,
  permitRow,
  permitRowKey,
  type RowKey,
} from "./semaphore-rows.ts";

/** What a transaction writes: first it removes rows, then it inserts others. */
export interface PermitWrites {
  readonly outcomes: AcquireOutcome[];
  readonly remove: readonly RowKey[];
  readonly insert: readonly Entry[];
}

/** Decides a change on the rows that its transaction has just read. Every store does what this says. */
export function judgeChange(found: FoundRows, change: PermitChange): PermitWrites {
  const name = change.semaphore;
  const held = new Map(found.permits.map((permit) => [permit.owner, permit]));
  const remove: RowKey[] = [];
  for (const { owner, grant } of change.release) {
    if (held.get(owner)?.grant !== grant) continue;
    held.delete(owner);
    remove.push(permitRowKey(name, owner));
  }
  const releasedAny = remove.length > 0;
  const drained = held.size === 0 && (releasedAny || found.limit?.deleteOnEmpty === true);
  const limit = drained ? null : (found.limit?.limit ?? null);
  const insert: Entry[] = [];
  const outcomes = change.acquire.map((permit) => {
    const outcome = judgePermit(held, limit, change.limit, permit);
    if (outcome === "acquired" && !held.has(permit.owner)) {
      held.set(permit.owner, permit);
      insert.push(permitRow(name, permit));
    }
    return outcome;
  });
  const [first] = insert;
  const row = found.limit;
  // The Go system's own row becomes one that goes with the last permit.
  const stays = held.size > 0 && row?.limit === change.limit && row.deleteOnEmpty;
  if (first !== undefined && !stays) insert.unshift(limitRow(name, change.limit, first.leader));
  const goes = held.size === 0 ? drained : first !== undefined && !stays;
  if (row !== null && goes) remove.push(row.row);
  return { outcomes, remove, insert };
}

function judgePermit(
  held: ReadonlyMap<string, Permit>,
  limit: number | null,
  wanted: number,
  { owner, grant }: Permit,
): AcquireOutcome {
  const own = held.get(owner);
  if (own !== undefined) return own.grant === grant ? "acquired" : "held";
  if (limit !== null && limit !== wanted) return "other-limit";
  return held.size >= wanted ? "full" : "acquired";
}

/** What is to be seen of a semaphore. */
export function semaphoreRows({ limit, permits }: FoundRows): SemaphoreRows {
  const drained = permits.length === 0 && limit?.deleteOnEmpty === true;
  return { limit: drained ? null : (limit?.limit ?? null), permits };
}
