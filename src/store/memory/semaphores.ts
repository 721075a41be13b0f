import type { CallOptions } from "../../runtime/runtime.ts";
import { checkChanges } from "../check.ts";
import { checkName } from "../limits.ts";
import { judgeChange, semaphoreRows } from "../permit-judge.ts";
import type {
  AcquireOutcome,
  Fence,
  PermitChange,
  SemaphoreRows,
  SemaphoreStore,
  StoredEntry,
} from "../ports.ts";
import { CALLER_PREFIX, decodeRows, type FoundRows, semaphoreKey } from "../semaphore-rows.ts";
import { checkFenceToken, type Run } from "./run.ts";
import type { MemoryTables } from "./tables.ts";

export class MemorySemaphoreStore implements SemaphoreStore {
  constructor(private readonly run: Run) {}

  read(name: string, options: CallOptions = {}): Promise<SemaphoreRows> {
    return this.run("read a semaphore", options, (tables) => {
      checkName(name, "semaphore name");
      return semaphoreRows(findRows(tables, name));
    });
  }

  change(
    changes: readonly PermitChange[],
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<AcquireOutcome[][]> {
    return this.run("change permits", options, (tables) => {
      checkChanges(changes, fence);
      if (fence !== null) checkFenceToken(tables, fence);
      return changes.map((change) => {
        const found = findRows(tables, change.semaphore);
        const { outcomes, remove, insert } = judgeChange(found, change);
        for (const { key, id } of remove) tables.remove(key, id);
        for (const { key, id, value, leader } of insert) tables.insert(key, id, value, leader);
        return outcomes;
      });
    });
  }
}

function findRows(tables: MemoryTables, name: string): FoundRows {
  const own = semaphoreKey(name);
  const permits: StoredEntry[] = [];
  for (const key of tables.keys()) {
    const row = key.startsWith(CALLER_PREFIX) ? tables.find(key, own) : undefined;
    if (row !== undefined) permits.push(row);
  }
  permits.sort((a, b) => a.timestamp - b.timestamp);
  return decodeRows(name, [...tables.versions(own), ...permits]);
}
