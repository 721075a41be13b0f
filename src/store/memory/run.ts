import type { CallOptions } from "../../runtime/runtime.ts";
import { fenced } from "../calls.ts";
import type { Fence } from "../ports.ts";
import type { MemoryTables } from "./tables.ts";

/** Makes one call: what it is named in errors, and its work on the tables, which is one transaction. */
export type Run = <T>(
  what: string,
  options: CallOptions,
  work: (tables: MemoryTables) => T,
) => Promise<T>;

/** Throws `fenced` unless the lock's token is the fence's. */
export function checkFenceToken(tables: MemoryTables, fence: Fence): void {
  if (tables.locks.token(fence.name) !== fence.token) throw fenced(fence.name);
}
