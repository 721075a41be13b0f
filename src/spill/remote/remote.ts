import type { Logger } from "../../observe/logger.ts";
import { messageOf } from "../../errors.ts";
import type { Peers } from "../../rpc/port.ts";
import { sleep } from "../../runtime/operation.ts";
import type { Clock, Timer } from "../../runtime/runtime.ts";
import type { Catalog } from "../catalog.ts";
import type { Elsewhere } from "../elsewhere.ts";
import type { CompleteLimits } from "../limits.ts";
import { PackedElsewhere } from "./packed-elsewhere.ts";
import type { Compression } from "../compression.ts";
import { RemoteStore } from "./remote-store.ts";
import { Rooms } from "./rooms.ts";
import { startAt } from "./start.ts";
import { CALLS, MAX_RENEWED } from "./wire.ts";

export interface RemoteOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly peers: Peers;
  /** This node's address. */
  readonly self: string;
  /** Of this start: the same as long as the process lives. */
  readonly incarnation: bigint;
  /** Addresses of the other nodes that may keep segments. */
  readonly others: () => string[];
  readonly compression: Compression;
}

/** Renewals within an expiry. */
const RENEWALS = 3;
const FREE_TIMEOUT_MS = 1_000;
/** Of one that has left, as long as it does not answer. */
const ASKS = 10;
const ASK_AGAIN_MS = 1_000;
const REJOINED_TIMEOUT_MS = 3_000;

/** What this node's stores have on other nodes: finds room, renews the leases. */
export class Remote {
  readonly rooms: Rooms;
  readonly #stores = new Map<bigint, RemoteStore>();
  readonly #freeing = new Set<Promise<unknown>>();
  /** Addresses at which leases are renewed since somebody came there. */
  readonly #rejoined = new Set<string>();
  #made = 0n;
  #timer: Timer | null = null;
  /** When the leases are renewed next: stores that come meanwhile do not put it off. */
  #dueAt = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(readonly options: RemoteOptions) {
    this.rooms = new Rooms(options.clock, options.peers, options.self, options.others);
  }

  store(name: string, limits: CompleteLimits, catalog: Catalog): Elsewhere {
    const { self, incarnation, compression } = this.options;
    const store = new RemoteStore({
      ...this.options,
      name,
      limits,
      catalog,
      rooms: this.rooms,
      owner: { address: self, incarnation, store: this.#made++ },
      onFirst: () => this.#add(store),
      onFreed: () => this.#remove(store),
    });
    return compression === "none" ? store : new PackedElsewhere(store);
  }

  /** A holder has gone, or was started anew, and has nothing any more; or members are wrong: it is asked. */
  addressVacated(address: string): void {
    this.rooms.forget(address);
    const concerned = [...this.#stores.values()].some((store) => store.holders.has(address));
    if (concerned) void this.#askHolder(address);
  }

  /** A holder may be there again, or be reached again: the next renewal may be too late for the lease. */
  memberJoined(address: string): void {
    const stores = [...this.#stores.values()].filter((store) => store.holders.has(address));
    if (stores.length === 0 || this.#rejoined.has(address)) return;
    this.#rejoined.add(address);
    void this.#renewAllAt(address, stores, REJOINED_TIMEOUT_MS).finally(() =>
      this.#rejoined.delete(address),
    );
  }

  /** Resolves once the holders have been told of what is freed, those that answer. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await Promise.all(this.#freeing);
  }

  /** One that stops in good order says that it leaves before it is gone: it is asked again until somebody says what is. */
  async #askHolder(address: string): Promise<void> {
    const { clock, others } = this.options;
    for (let tries = 0; tries < ASKS && !this.#stopped; tries++) {
      if (tries > 0 && others().includes(address)) return;
      const askedAt = clock.now();
      const start = await startAt(address, this.options);
      for (const store of this.#stores.values()) {
        if (typeof start === "bigint") store.holders.is(address, start);
        else store.holders.silent(address, askedAt, start === "none");
      }
      if (start !== null) return;
      await sleep(clock, ASK_AGAIN_MS);
    }
  }

  #add(store: RemoteStore): void {
    this.#stores.set(store.owner.store, store);
    this.#schedule();
  }

  #remove(store: RemoteStore): void {
    this.#stores.delete(store.owner.store);
    const { peers, logger } = this.options;
    for (const holder of store.holders.addresses()) {
      const { owner } = store;
      const freeing: Promise<unknown> = peers
        .unary(holder, CALLS.freeSpill, { owner }, { timeoutMs: FREE_TIMEOUT_MS })
        .catch((error: unknown) =>
          logger.debug("segments are freed by their lease alone", { error: messageOf(error) }),
        )
        .finally(() => this.#freeing.delete(freeing));
      this.#freeing.add(freeing);
    }
  }

  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#stopped || this.#stores.size === 0) {
      this.#dueAt = Number.POSITIVE_INFINITY;
      return;
    }
    const { clock } = this.options;
    const expiries = [...this.#stores.values()].map(({ expiryMs }) => expiryMs);
    const everyMs = Math.min(...expiries) / RENEWALS;
    this.#dueAt = Math.min(this.#dueAt, clock.now() + everyMs);
    this.#timer = clock.schedule(Math.max(0, this.#dueAt - clock.now()), () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#schedule();
      void this.#renew(everyMs);
    });
  }

  async #renew(timeoutMs: number): Promise<void> {
    const byHolder = new Map<string, RemoteStore[]>();
    for (const store of this.#stores.values()) {
      for (const holder of store.holders.addresses()) {
        const same = byHolder.get(holder) ?? [];
        same.push(store);
        byHolder.set(holder, same);
      }
    }
    const renewals = Array.from(byHolder, ([holder, stores]) =>
      this.#renewAllAt(holder, stores, timeoutMs),
    );
    await Promise.all(renewals);
  }

  async #renewAllAt(holder: string, stores: readonly RemoteStore[], timeoutMs: number) {
    for (let at = 0; at < stores.length; at += MAX_RENEWED) {
      await this.#renewAt(holder, stores.slice(at, at + MAX_RENEWED), timeoutMs);
    }
  }

  async #renewAt(holder: string, stores: readonly RemoteStore[], timeoutMs: number) {
    const { clock, peers, logger } = this.options;
    const sentAt = clock.now();
    try {
      const owners = stores.map(({ owner }) => owner);
      const { unknown } = await peers.unary(holder, CALLS.renewSpill, { owners }, { timeoutMs });
      for (const store of stores) {
        if (unknown.some((one) => one.store === store.owner.store)) {
          store.holders.lost(holder, "its node knows nothing of them any more", sentAt);
        } else store.holders.renewed(holder, sentAt);
      }
    } catch (error) {
      logger.debug("lease of segments not renewed", { holder, error: messageOf(error) });
      for (const store of stores) store.holders.notRenewed(holder);
    }
  }
}
