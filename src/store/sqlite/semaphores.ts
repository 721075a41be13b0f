import type { Statement } from "bun:sqlite";
import { HedgerowError } from "../../errors.ts";
import type { CallOptions } from "../../runtime/runtime.ts";
import { checkPermit, checkSemaphore, checkSemaphoreLimit } from "../check.ts";
import { checkName } from "../limits.ts";
import type { Fence, Permit, SemaphoreStore } from "../ports.ts";
import * as layout from "../semaphore-rows.ts";
import type { Connection } from "./connection.ts";
import type { FenceCheck } from "./fence.ts";
import type { LogRows } from "./log-rows.ts";

type CreateResult =
  { readonly kind: "ready" } | { readonly kind: "other-limit"; readonly limit: number };

export class SqliteSemaphoreStore implements SemaphoreStore {
  readonly #ids: Statement<{ id: string }, [string]>;
  readonly #find: Statement<{ timestamp: number }, [string, string]>;
  readonly #count: Statement<{ taken: number }, [string]>;
  readonly #permits: Statement<{ key: string; value: string }, [string]>;
  readonly #setValue: Statement<unknown, [string, string, string]>;

  constructor(
    private readonly connection: Connection,
    private readonly rows: LogRows,
    private readonly fence: FenceCheck,
    logTable: string,
  ) {
    const taken = `FROM "${logTable}" WHERE id = ?
      AND key >= '${layout.CALLER_PREFIX}' AND key < '${layout.CALLER_END}'`;
    const row = "WHERE id = ? AND key = ?";
    this.#ids = connection.prepare(`SELECT id FROM "${logTable}" WHERE key = ?`);
    this.#find = connection.prepare(`SELECT timestamp FROM "${logTable}" ${row}`);
    this.#count = connection.prepare(`SELECT count(*) AS taken ${taken}`);
    this.#permits = connection.prepare(`SELECT key, value ${taken} ORDER BY timestamp`);
    this.#setValue = connection.prepare(`UPDATE "${logTable}" SET value = ? ${row}`);
  }

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
    return this.connection.write("create a semaphore", options, (): CreateResult => {
      this.fence.check(fence);
      const found = this.#limit(name);
      if (found === null) {
        this.#insert(layout.semaphoreKey(name), layout.limitId(limit), creator, creator);
      } else if (found !== limit) {
        return { kind: "other-limit", limit: found };
      }
      return { kind: "ready" };
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
    const semaphore = layout.semaphoreKey(name);
    const key = layout.permitKey(permit.owner);
    return this.connection.write("acquire a permit", options, () => {
      this.fence.check(fence);
      const limit = this.#limit(name);
      if (limit === null) return "missing";
      if (this.#find.get(semaphore, key) !== null) return "held";
      if (this.#taken(semaphore) >= limit) return "full";
      this.#insert(key, semaphore, layout.encodePermit(permit), permit.holder);
      this.#setValue.run(layout.DELETE_ON_EMPTY, layout.limitId(limit), semaphore);
      return "acquired";
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
    const semaphore = layout.semaphoreKey(name);
    return this.connection.write("release a permit", options, () => {
      this.fence.check(fence);
      if (!this.rows.delete(layout.permitKey(owner), semaphore)) return "not-held";
      const limit = this.#limit(name);
      if (limit !== null && this.#taken(semaphore) === 0) {
        this.rows.delete(semaphore, layout.limitId(limit));
      }
      return "released";
    });
  }

  async permits(name: string, options: CallOptions = {}): Promise<Permit[]> {
    checkName(name, "semaphore name");
    return this.connection.read("read the permits", options, () =>
      this.#permits
        .all(layout.semaphoreKey(name))
        .map((row) => layout.decodePermit(row.key, row.value)),
    );
  }

  /** The limit of the semaphore's own row, or null without one. */
  #limit(name: string): number | null {
    for (const { id } of this.#ids.all(layout.semaphoreKey(name))) {
      const limit = layout.limitOf(id);
      if (limit !== null) return limit;
    }
    return null;
  }

  #taken(semaphore: string): number {
    const counted = this.#count.get(semaphore);
    if (counted === null) throw new HedgerowError("internal", "a count gave no row");
    return counted.taken;
  }

  #insert(key: string, id: string, value: string, leader: string): void {
    this.rows.put(this.rows.nextTimestamp(), { key, id, value, leader });
  }
}
