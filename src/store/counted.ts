import type { CallCounts } from "../observe/call-counts.ts";
import type { LockStore, LogStore, SemaphoreStore, Store } from "./ports.ts";

/** A store's operations, as they are counted. */
export const STORE_CALLS = [
  "ping",
  "lock_read",
  "lock_acquire",
  "lock_renew",
  "lock_release",
  "log_append",
  "log_read",
  "log_read_after",
  "log_locate",
  "log_keys",
  "log_trim",
  "semaphore_read",
  "semaphore_change",
] as const;

export type StoreCounts = CallCounts<(typeof STORE_CALLS)[number]>;

/** The same store, whose calls are counted and timed. */
export function countedStore(store: Store, counts: StoreCounts): Store {
  return {
    lock: countedLock(store.lock, counts),
    log: store.log && countedLog(store.log, counts),
    semaphores: store.semaphores && countedSemaphores(store.semaphores, counts),
    ping: (...given) => counts.track("ping", () => store.ping(...given)),
    close: () => store.close(),
  };
}

function countedLock(lock: LockStore, counts: StoreCounts): LockStore {
  return {
    read: (...given) => counts.track("lock_read", () => lock.read(...given)),
    acquire: (...given) => counts.track("lock_acquire", () => lock.acquire(...given)),
    renew: (...given) => counts.track("lock_renew", () => lock.renew(...given)),
    release: (...given) => counts.track("lock_release", () => lock.release(...given)),
  };
}

function countedLog(log: LogStore, counts: StoreCounts): LogStore {
  return {
    append: (...given) => counts.track("log_append", () => log.append(...given)),
    read: (...given) => counts.track("log_read", () => log.read(...given)),
    readAfter: (...given) => counts.track("log_read_after", () => log.readAfter(...given)),
    locate: (...given) => counts.track("log_locate", () => log.locate(...given)),
    keys: (...given) => counts.track("log_keys", () => log.keys(...given)),
    trim: (...given) => counts.track("log_trim", () => log.trim(...given)),
  };
}

function countedSemaphores(semaphores: SemaphoreStore, counts: StoreCounts): SemaphoreStore {
  return {
    read: (...given) => counts.track("semaphore_read", () => semaphores.read(...given)),
    change: (...given) => counts.track("semaphore_change", () => semaphores.change(...given)),
  };
}
