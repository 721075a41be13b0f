import type { CallOptions } from "../../runtime/runtime.ts";
import { checkPermit, checkSemaphore, checkSemaphoreLimit } from "../check.ts";
import { checkName } from "../limits.ts";
import type { Fence, Permit, SemaphoreStore } from "../ports.ts";
import * as layout from "../semaphore-rows.ts";
import type { Mutation } from "./api.ts";
import type { Connection, Writes } from "./connection.ts";
import { fencedWrites, nothing } from "./fence.ts";
import type { Transaction } from "./transaction.ts";
import { COMMIT_TIMESTAMP, deleteRows, insert, key, text, textOf, update } from "./values.ts";

type CreateResult =
  { readonly kind: "ready" } | { readonly kind: "other-limit"; readonly limit: number };

export class SpannerSemaphoreStore implements SemaphoreStore {
  constructor(
    private readonly connection: Connection,
    private readonly lockTable: string,
    private readonly logTable: string,
  ) {}

  async create(
    name: string,
    limit: number,
    creator: string,
    fence: Fence,
    options: CallOptions = {},
  ): Promise<CreateResult> {
    checkSemaphore(name, fence);
    checkSemaphoreLimit(limit);
    checkName(creator, "creator");
    return this.#fenced<CreateResult>("create a semaphore", fence, options, async (transaction) => {
      const found = await this.#limit(transaction, name);
      if (found !== null) {
        return nothing(() =>
          found === limit ? { kind: "ready" } : { kind: "other-limit", limit: found },
        );
      }
      const id = layout.limitId(limit);
      return {
        mutations: [this.#insert(layout.semaphoreKey(name), id, creator, creator)],
        result: () => ({ kind: "ready" }),
      };
    });
  }

  async acquire(
    name: string,
    permit: Permit,
    fence: Fence,
    options: CallOptions = {},
  ): Promise<"acquired" | "held" | "full" | "missing"> {
    checkSemaphore(name, fence);
    checkPermit(permit);
    const own = layout.permitKey(permit.owner);
    return this.#fenced("acquire a permit", fence, options, async (transaction) => {
      const limit = await this.#limit(transaction, name);
      if (limit === null) return nothing(() => "missing" as const);
      const taken = (await transaction.query(this.#taken(name))).map(([owner]) => textOf(owner));
      if (taken.includes(own)) return nothing(() => "held" as const);
      if (taken.length >= limit) return nothing(() => "full" as const);
      const semaphore = layout.semaphoreKey(name);
      const row = { key: text(semaphore), id: text(layout.limitId(limit)) };
      return {
        mutations: [
          this.#insert(own, semaphore, layout.encodePermit(permit), permit.holder),
          update(this.logTable, { ...row, value: text(layout.DELETE_ON_EMPTY) }),
        ],
        result: () => "acquired" as const,
      };
    });
  }

  async release(
    name: string,
    owner: string,
    fence: Fence,
    options: CallOptions = {},
  ): Promise<"released" | "not-held"> {
    checkSemaphore(name, fence);
    checkName(owner, "owner");
    const own = layout.permitKey(owner);
    return this.#fenced("release a permit", fence, options, async (transaction) => {
      const taken = (await transaction.query(this.#taken(name))).map(([holder]) => textOf(holder));
      if (!taken.includes(own)) return nothing(() => "not-held" as const);
      const semaphore = layout.semaphoreKey(name);
      const keys = [key(own, semaphore)];
      const limit = taken.length === 1 ? await this.#limit(transaction, name) : null;
      if (limit !== null) keys.push(key(semaphore, layout.limitId(limit)));
      return {
        mutations: [deleteRows(this.logTable, { keys })],
        result: () => "released" as const,
      };
    });
  }

  async permits(name: string, options: CallOptions = {}): Promise<Permit[]> {
    checkName(name, "semaphore name");
    const rows = await this.connection.query("read the permits", options, this.#taken(name));
    return rows.map(([owner, value]) =>
      layout.decodePermit(textOf(owner) ?? "", textOf(value) ?? ""),
    );
  }

  #fenced<T>(
    what: string,
    fence: Fence,
    options: CallOptions,
    work: (transaction: Transaction) => Promise<Writes<T>>,
  ): Promise<T> {
    return this.connection.readWrite(what, options, (transaction) =>
      fencedWrites(transaction, this.lockTable, fence, () => work(transaction)),
    );
  }

  /** The limit of the semaphore's own row, or null without one. */
  async #limit(transaction: Transaction, name: string): Promise<number | null> {
    const own = key(layout.semaphoreKey(name));
    const range = { ranges: [{ startClosed: own, endClosed: own }] };
    for (const [id] of await transaction.read(this.logTable, range, ["id"])) {
      const limit = layout.limitOf(textOf(id) ?? "");
      if (limit !== null) return limit;
    }
    return null;
  }

  /** Asks for the permits taken, oldest first: of the log it reads the keys that permits have, and no others. */
  #taken(name: string) {
    return {
      sql: `SELECT key, value FROM \`${this.logTable}\`
        WHERE key >= '${layout.CALLER_PREFIX}' AND key < '${layout.CALLER_END}' AND id = @id
        ORDER BY timestamp, key`,
      params: { fields: { id: text(layout.semaphoreKey(name)) } },
    };
  }

  #insert(rowKey: string, id: string, value: string, leader: string): Mutation {
    return insert(this.logTable, {
      key: text(rowKey),
      id: text(id),
      value: text(value),
      leader: text(leader),
      timestamp: COMMIT_TIMESTAMP,
    });
  }
}
