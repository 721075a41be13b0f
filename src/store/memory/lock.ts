import type { CallOptions } from "../../runtime/runtime.ts";
import { checkClaim, checkTakeOver } from "../check.ts";
import { checkLockRow } from "../limits.ts";
import type { LockRow, LockStore, TakeOver, TakeOverResult } from "../ports.ts";
import type { Run } from "./run.ts";

export class MemoryLockStore implements LockStore {
  constructor(private readonly run: Run) {}

  read(name: string, options: CallOptions = {}): Promise<LockRow | null> {
    return this.run("read the lock", options, (tables) => {
      checkLockRow(name);
      return tables.locks.read(name);
    });
  }

  acquire(takeOver: TakeOver, options: CallOptions = {}): Promise<TakeOverResult> {
    return this.run("take the lock", options, (tables) => {
      checkTakeOver(takeOver);
      return tables.locks.acquire(takeOver);
    });
  }

  renew(name: string, token: number, options: CallOptions = {}): Promise<"renewed" | "lost"> {
    return this.run("renew the lock", options, (tables) => {
      checkClaim(name, token);
      return tables.locks.beat(name, token, "renew") ? "renewed" : "lost";
    });
  }

  release(name: string, token: number, options: CallOptions = {}): Promise<"released" | "lost"> {
    return this.run("release the lock", options, (tables) => {
      checkClaim(name, token);
      return tables.locks.beat(name, token, "release") ? "released" : "lost";
    });
  }
}
