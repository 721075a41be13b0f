import type { CallOptions } from "../../runtime/runtime.ts";
import { checkAppend } from "../check.ts";
import { readRange } from "../judge.ts";
import { checkKey } from "../limits.ts";
import {
  type AppendOutcome,
  type Fence,
  type LogStore,
  NO_APPEND_ID,
  type NewEntry,
  type ReadLimit,
  type StoredEntry,
} from "../ports.ts";
import { checkFenceToken, type Run } from "./run.ts";
import type { MemoryTables } from "./tables.ts";

export class MemoryLogStore implements LogStore {
  constructor(private readonly run: Run) {}

  append(
    entries: readonly NewEntry[],
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<AppendOutcome[]> {
    return this.run("append", options, (tables) => {
      checkAppend(entries, fence);
      if (fence !== null) checkFenceToken(tables, fence);
      return entries.map((entry) => appendOne(tables, entry));
    });
  }

  read(key: string, limit: ReadLimit, options: CallOptions = {}): Promise<StoredEntry[]> {
    return this.run("read", options, (tables) => {
      checkKey(key);
      const versions = tables.versions(key);
      const { oldestFirst, count } = readRange(limit);
      if (oldestFirst) return versions.slice(0, count);
      return versions.slice(Math.max(0, versions.length - count)).reverse();
    });
  }
}

function appendOne(tables: MemoryTables, entry: NewEntry): AppendOutcome {
  const { key, id, value, leader } = entry;
  const found = id === NO_APPEND_ID ? undefined : tables.find(key, id);
  if (found === undefined) {
    return { kind: "written", timestamp: tables.insert(key, id, value, leader) };
  }
  if (found.value !== value) return { kind: "conflict" };
  return { kind: "written", timestamp: found.timestamp };
}
