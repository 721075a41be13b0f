import { HedgerowError } from "../errors.ts";
import { LeaderDirectory } from "../lock/directory.ts";
import type { Claim, Leadership } from "../lock/lease.ts";
import type { Family } from "../observe/families.ts";
import type { Joining } from "./joining.ts";
import type { StoreSide } from "./store-side.ts";

/** A node of membership alone: nobody leads and nothing is kept. Who asks for either is told what to do. */
export class WithoutStore implements StoreSide {
  readonly leadership: Leadership = { claim: (): Claim | null => null, refute() {} };
  readonly log = {
    put: async () => refuse("put"),
    get: async () => refuse("get"),
    watch: () => refuse("watch"),
  };
  readonly locks = { lock: () => refuse("a lock") };
  readonly semaphores = { semaphore: () => refuse("a semaphore") };
  readonly routes = [];
  readonly leader = null;
  readonly iterations = 0;

  constructor(private readonly joining: Joining) {}

  doubt(): void {}

  async firstContact(): Promise<void> {}

  start(): void {}

  get hasJoined(): boolean {
    return this.joining.awaited.length === 0;
  }

  async ready(): Promise<void> {
    const { awaited } = this.joining;
    if (awaited.length === 0) return;
    throw new HedgerowError("unavailable", `not joined yet: no answer from ${awaited.join()}`);
  }

  async metrics(): Promise<Family[]> {
    return [];
  }

  memberJoined(): void {}

  async resign(): Promise<void> {}
}

/** Whatever goes through the leader fails here, before anything is sent. */
export class NoLeaders extends LeaderDirectory {
  override get leader(): never {
    return refuse("a leader");
  }

  /** A node with a store may say so; it is another cluster's business. */
  override learn(): boolean {
    return false;
  }
}

function refuse(what: string): never {
  const mend = "start all nodes with one --store, such as sqlite:./hedgerow.db";
  throw new HedgerowError("not_supported", `${what} needs a store, and there is none: ${mend}`);
}
