import type { CallOptions } from "../../runtime/runtime.ts";
import { checkPermit, checkSemaphore, checkSemaphoreLimit } from "../check.ts";
import { checkName } from "../limits.ts";
import type { Fence, Permit, SemaphoreStore, StoredEntry } from "../ports.ts";
import * as rows from "../semaphore-rows.ts";
import { checkFenceToken, type Run } from "./run.ts";
import type { MemoryTables } from "./tables.ts";

export class MemorySemaphoreStore implements SemaphoreStore {
  constructor(private readonly run: Run) {}

  create(
    name: string,
    limit: number,
    creator: string,
    fence: Fence,
    options: CallOptions = {},
  ): Promise<{ kind: "ready" } | { kind: "other-limit"; limit: number }> {
    return this.run("create a semaphore", options, (tables) => {
      checkSemaphore(name, fence);
      checkSemaphoreLimit(limit);
      checkName(creator, "creator");
      checkFenceToken(tables, fence);
      const found = findLimit(tables, name);
      if (found !== null && found !== limit) return { kind: "other-limit", limit: found };
      if (found === null) {
        tables.insert(rows.semaphoreKey(name), rows.limitId(limit), creator, creator);
      }
      return { kind: "ready" };
    });
  }

  acquire(
    name: string,
    permit: Permit,
    fence: Fence,
    options: CallOptions = {},
  ): Promise<"acquired" | "held" | "full" | "missing"> {
    return this.run("acquire a permit", options, (tables) => {
      checkSemaphore(name, fence);
      checkPermit(permit);
      checkFenceToken(tables, fence);
      const semaphore = rows.semaphoreKey(name);
      const limit = findLimit(tables, name);
      if (limit === null) return "missing";
      const key = rows.permitKey(permit.owner);
      if (tables.find(key, semaphore) !== undefined) return "held";
      if (findPermits(tables, name).length >= limit) return "full";
      tables.insert(key, semaphore, rows.encodePermit(permit), permit.holder);
      tables.setValue(semaphore, rows.limitId(limit), rows.DELETE_ON_EMPTY);
      return "acquired";
    });
  }

  release(
    name: string,
    owner: string,
    fence: Fence,
    options: CallOptions = {},
  ): Promise<"released" | "not-held"> {
    return this.run("release a permit", options, (tables) => {
      checkSemaphore(name, fence);
      checkName(owner, "owner");
      checkFenceToken(tables, fence);
      const semaphore = rows.semaphoreKey(name);
      if (!tables.remove(rows.permitKey(owner), semaphore)) return "not-held";
      const limit = findLimit(tables, name);
      if (limit !== null && findPermits(tables, name).length === 0) {
        tables.remove(semaphore, rows.limitId(limit));
      }
      return "released";
    });
  }

  permits(name: string, options: CallOptions = {}): Promise<Permit[]> {
    return this.run("read the permits", options, (tables) => {
      checkName(name, "semaphore name");
      return findPermits(tables, name).map((row) => rows.decodePermit(row.key, row.value));
    });
  }
}

function findLimit(tables: MemoryTables, name: string): number | null {
  for (const row of tables.versions(rows.semaphoreKey(name))) {
    const limit = rows.limitOf(row.id);
    if (limit !== null) return limit;
  }
  return null;
}

/** Rows of the permits taken, in the order in which they were. */
function findPermits(tables: MemoryTables, name: string): StoredEntry[] {
  const found: StoredEntry[] = [];
  for (const key of tables.keys()) {
    if (!key.startsWith(rows.CALLER_PREFIX)) continue;
    const row = tables.find(key, rows.semaphoreKey(name));
    if (row !== undefined) found.push(row);
  }
  return found.sort((a, b) => a.timestamp - b.timestamp);
}
