import type { CallOptions } from "../../runtime/runtime.ts";
import { checkAppend, checkCount, checkTrim } from "../check.ts";
import { readRange, refusal, repeated } from "../judge.ts";
import { checkKey, checkVersionId } from "../limits.ts";
import {
  type AppendOutcome,
  type Fence,
  type KeyHistory,
  type LogCursor,
  type LogStore,
  NO_APPEND_ID,
  type NewEntry,
  type ReadLimit,
  type StoredEntry,
  type Trim,
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

  readAfter(
    key: string,
    after: LogCursor | null,
    limit: number,
    options: CallOptions = {},
  ): Promise<StoredEntry[]> {
    return this.run("read on", options, (tables) => {
      checkKey(key);
      checkCount(limit);
      const from = after?.timestamp ?? 0; // no two rows have one timestamp
      const later = tables.versions(key).filter(({ timestamp }) => timestamp > from);
      return later.slice(0, limit);
    });
  }

  locate(key: string, id: string, options: CallOptions = {}): Promise<number | null> {
    return this.run("find a version", options, (tables) => {
      checkKey(key);
      checkVersionId(id);
      return tables.find(key, id)?.timestamp ?? null;
    });
  }

  keys(after: string | null, limit: number, options: CallOptions = {}): Promise<KeyHistory[]> {
    return this.run("list keys", options, (tables) => {
      if (after !== null) checkKey(after);
      checkCount(limit);
      const keys = [...tables.keys()].filter((key) => after === null || key > after);
      return keys
        .sort()
        .slice(0, limit)
        .map((key) => historyOf(key, tables.versions(key)));
    });
  }

  trim(
    keys: readonly Trim[],
    keep: number,
    limit: number,
    fence: Fence | null,
    options: CallOptions = {},
  ): Promise<number> {
    return this.run("trim", options, (tables) => {
      checkTrim(keys, keep, limit, fence);
      if (fence !== null) checkFenceToken(tables, fence);
      const old = keys.flatMap(({ key, before }) =>
        tables
          .versions(key)
          .slice(0, -keep)
          .filter(({ id, timestamp }) => id !== NO_APPEND_ID && timestamp < before),
      );
      const removed = old.slice(0, limit);
      for (const { key, id } of removed) tables.remove(key, id);
      return removed.length;
    });
  }
}

function appendOne(tables: MemoryTables, entry: NewEntry): AppendOutcome {
  const { key, id, value, leader } = entry;
  const stored = id === NO_APPEND_ID ? undefined : tables.find(key, id);
  if (stored !== undefined) return repeated(entry, stored);
  const refused = refusal(entry, {
    newestId: () => tables.versions(key).at(-1)?.id ?? "",
    token: (lockRow) => tables.locks.token(lockRow),
  });
  return refused ?? { kind: "written", timestamp: tables.insert(key, id, value, leader) };
}

function historyOf(key: string, versions: readonly StoredEntry[]): KeyHistory {
  const [oldest] = versions;
  const newest = versions.at(-1);
  return { key, oldest: oldest?.timestamp ?? 0, newest: newest?.timestamp ?? 0 };
}
