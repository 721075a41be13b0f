// Calls to the log through the client API, as their callers saw them. Imports nothing of src.
import type { Operation } from "../../histories/linearizable.ts";
import { checkLogHistories, type LogCall } from "../../histories/log-model.ts";
import type { Entry, Node } from "../processes.ts";
import { failureOf } from "./failure.ts";

/** Errors of which it is promised that nothing was done. After any other, nobody knows. */
const NOTHING_DONE: ReadonlySet<string> = new Set([
  "refused",
  "no_leader",
  "not_leader",
  "fenced",
  "unavailable",
  "overloaded",
  "store_failed",
]);

/** Errors that no fault excuses. */
const DEFECTS: ReadonlySet<string> = new Set(["internal", "invalid_argument", "not_found"]);

const DEFAULT_TIMEOUT_MS = 4_000;

export interface Put {
  readonly key: string;
  /** Default: a new one. */
  readonly id?: string;
  /** The version that it is to follow, "" for none; the node is asked to see to that. */
  readonly ifVersion?: string;
  /** The same, but it is only the caller who sees to it, by holding a lock: checked, and not sent. */
  readonly follows?: string;
  readonly fence?: { readonly name: string; readonly token: string };
  /** Of its value, at least. Default: as few as name it. */
  readonly characters?: number;
}

export type PutResult =
  | { readonly kind: "written"; readonly id: string }
  | { readonly kind: "refused"; readonly code: string; readonly current?: string | undefined }
  | { readonly kind: "unknown"; readonly id: string };

/**
 * Puts and gets of one process, whose monotonic clock tells when each was started and ended, and what is
 * wrong with them in the end. Assumes that nobody else writes the keys.
 */
export class Recorder {
  /** Calls that ended in errors that no fault excuses. */
  readonly defects: string[] = [];
  operations = 0;
  unknown = 0;
  acknowledged = 0;
  readonly #calls = new Map<string, Operation<LogCall>[]>();
  /** Key and value of every id that was tried, acknowledged or not. */
  readonly #tried = new Map<string, { readonly key: string; readonly value: string }>();
  readonly #acknowledged = new Set<string>();
  #next = 0;

  /** After `timeoutMs` a call is given up. */
  constructor(private readonly timeoutMs = DEFAULT_TIMEOUT_MS) {}

  async put(node: Node, put: Put): Promise<PutResult> {
    const { key, id = `entry-${this.#next++}`, ifVersion, follows, fence, characters = 0 } = put;
    const value = `value of ${id}`.padEnd(characters, ".");
    this.#tried.set(id, { key, value });
    const startedAt = performance.now();
    const answer = await node.call("Put", { key, value, id, ifVersion, fence }, this.timeoutMs);
    const endedAt = performance.now();
    this.operations++;
    const call = { kind: "put", id, ifVersion: ifVersion ?? follows } as const;
    if (answer.ok) {
      this.acknowledged++;
      this.#acknowledged.add(id);
      this.#add(key, { call, startedAt, endedAt });
      return { kind: "written", id };
    }
    const { code, current } = failureOf(answer);
    if (code === "conflict" && current !== undefined) {
      this.#add(key, { call: { ...call, conflictsWith: current }, startedAt, endedAt });
      return { kind: "refused", code, current };
    }
    if (DEFECTS.has(code) || code === "conflict") {
      this.defects.push(`put ${id}: ${code}: ${answer.message}`);
    }
    if (NOTHING_DONE.has(code)) return { kind: "refused", code };
    this.unknown++;
    this.#add(key, { call, startedAt, endedAt: null });
    return { kind: "unknown", id };
  }

  /** Ids, newest first: `limit` of them as the client API has it, -1 for all; null if there is no answer. */
  async get(node: Node, key: string, limit: number): Promise<readonly string[] | null> {
    const startedAt = performance.now();
    const request = { key, limit: `${limit}` };
    const answer = await node.call<{ entries?: Entry[] }>("Get", request, this.timeoutMs);
    const endedAt = performance.now();
    this.operations++;
    if (!answer.ok) {
      const { code } = failureOf(answer);
      if (DEFECTS.has(code)) this.defects.push(`get ${key}: ${code}: ${answer.message}`);
      return null;
    }
    const ids = (answer.value.entries ?? []).map(({ id }) => id);
    const count = limit < 0 ? Number.POSITIVE_INFINITY : Math.max(1, limit);
    this.#add(key, { call: { kind: "get", ids, count }, startedAt, endedAt });
    return ids;
  }

  /** What is wrong, by all that `node` reads once every call has ended: lost, twice, never put, out of order. */
  async violations(node: Node): Promise<string[]> {
    const violations = [...this.defects];
    const final = new Map<string, string[]>();
    const stored = new Set<string>();
    for (const key of this.#calls.keys()) {
      const entries = (await node.entries(key)).toReversed();
      for (const { id, value } of entries) {
        if (stored.has(id)) violations.push(`${id} is there twice`);
        stored.add(id);
        const tried = this.#tried.get(id);
        if (tried?.key !== key || tried.value !== value) violations.push(`${id} was never put`);
      }
      final.set(
        key,
        entries.map(({ id }) => id),
      );
    }
    for (const id of this.#acknowledged) if (!stored.has(id)) violations.push(`${id} is lost`);
    return [...violations, ...checkLogHistories(this.#calls, final)];
  }

  /** Calls to the key so far. */
  calls(key: string): number {
    return this.#calls.get(key)?.length ?? 0;
  }

  #add(key: string, operation: Operation<LogCall>): void {
    const operations = this.#calls.get(key) ?? [];
    this.#calls.set(key, operations);
    operations.push(operation);
  }
}
