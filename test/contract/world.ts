import { afterEach, beforeEach } from "bun:test";
import type { Fence, LogStore, NewEntry, SemaphoreStore, Store } from "../../src/store/ports.ts";

/** What the contract needs of a store's implementation: an empty database and two ways into it. */
export interface World extends AsyncDisposable {
  /** A connection of its own to the one database. `log` false: no log table is configured. */
  connect(options: { readonly log: boolean }): Promise<Store>;
  /** Lets that much time pass on the database's clock: at once where it is an injected one. */
  passMs(ms: number): Promise<void>;
  /** Deletes a lock's row behind the store's back. */
  deleteLockRow(name: string): Promise<void>;
}

export type MakeWorld = () => Promise<World>;

export interface FullStore extends Store {
  readonly log: LogStore;
  readonly semaphores: SemaphoreStore;
}

/** A world with two connections, made anew for each test of the `describe` block that calls this. */
export function useWorld(makeWorld: MakeWorld) {
  let world: World;
  let stores: readonly [FullStore, FullStore];
  beforeEach(async () => {
    world = await makeWorld();
    stores = [await connectFull(world), await connectFull(world)];
  });
  afterEach(async () => {
    for (const store of stores) await store.close();
    await world[Symbol.asyncDispose]();
  });
  return {
    world: () => world,
    store: () => stores[0],
    other: () => stores[1],
    /** Takes the lock `name` through the first connection. */
    fence: (name = "leader") => takeFence(stores[0], name),
  };
}

export type Handles = ReturnType<typeof useWorld>;

export async function connectFull(world: World): Promise<FullStore> {
  const store = await world.connect({ log: true });
  const { lock, log, semaphores } = store;
  if (log === null || semaphores === null) throw new Error("this world has no log table");
  return {
    lock,
    log,
    semaphores,
    ping: (options) => store.ping(options),
    close: () => store.close(),
  };
}

/** The claim of a first owner of the lock `name`. */
export async function takeFence(store: Store, name: string): Promise<Fence> {
  const result = await store.lock.acquire({
    name,
    writer: "10.0.0.1:8080",
    expectedToken: null,
    leaseMs: 2_000,
    minAgeMs: 0,
  });
  if (result.kind !== "acquired") throw new Error(`${name} has a row already`);
  return { name, token: result.token };
}

export function entry(key: string, id: string, value: string): NewEntry {
  return { key, id, value, leader: "10.0.0.1:8080" };
}
