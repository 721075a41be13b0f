import { HedgerowError } from "../../../src/errors.ts";
import type { Operation } from "../../histories/linearizable.ts";
import type { LogCall } from "../../histories/log-model.ts";
import type { SimulatedCluster, SimulatedNode } from "./cluster.ts";
import { MAX_DRIFT } from "./machine.ts";
import type { Tempo } from "./tempo.ts";

/** One put, as its caller saw it. */
export interface PutRecord {
  readonly key: string;
  readonly value: string;
  readonly id: string;
  /** The version that it was to follow; undefined: any. */
  readonly ifVersion: string | undefined;
  readonly node: string;
  readonly startedAt: number;
  endedAt: number | null;
  /** The code of the error it ended with, "ok", or null while it is open. */
  outcome: string | null;
  timestamp: number | null;
  /** The newest version, as a conflict named it. */
  current: string | undefined;
}

/** One get that was answered. */
interface GetRecord {
  readonly key: string;
  readonly call: LogCall;
  readonly startedAt: number;
  readonly endedAt: number;
}

/** After these nothing was done. */
const NOTHING_DONE: ReadonlySet<string | null> = new Set([
  "conflict",
  "no_leader",
  "not_leader",
  "fenced",
  "overloaded",
]);

/** What callers put to. */
export const KEYS = ["key-0", "key-1", "key-2", "key-3"];

/** Limits of gets, and how many versions each asks for. */
const LIMITS = [
  [0, 1],
  [0, 1],
  [3, 3],
  [-1, Number.POSITIVE_INFINITY],
] as const;

const TIMEOUT_MS = 4_000;

/** Its outcome says that nothing was done. */
export function isRefused({ outcome }: PutRecord): boolean {
  return NOTHING_DONE.has(outcome);
}

/** Nobody knows whether it was done. */
export function isUnknown(put: PutRecord): boolean {
  return put.outcome !== "ok" && !isRefused(put);
}

/** Callers on all nodes that put, send and broadcast until a moment. */
export class Workload {
  readonly puts: PutRecord[] = [];
  readonly gets: GetRecord[] = [];
  /** Calls that ended later than they may, where the machine was not the reason. */
  readonly late: string[] = [];
  sends = 0;
  broadcasts = 0;
  #open = 0;
  #nextValue = 0;
  #stopped = false;

  constructor(private readonly cluster: SimulatedCluster) {}

  get open(): number {
    return this.#open;
  }

  /** No more calls; those that are open go on. */
  stop(): void {
    this.#stopped = true;
  }

  start(untilMs: number, callers: number, tempo: Tempo): void {
    const prng = this.cluster.prng.fork();
    const { scheduler } = this.cluster;
    for (let i = 0; i < callers; i++) {
      const again = () => {
        if (this.#stopped || scheduler.now >= untilMs) return;
        this.#oneCall(prng.int(10), prng.pick(KEYS), prng.int(this.cluster.nodes.length));
        scheduler.after(tempo.pause(prng.between(20, 400)), again);
      };
      scheduler.after(prng.between(0, 500), again);
    }
  }

  /** A put through one node, recorded. */
  put(key: string, nodeIndex: number, ifVersion?: string): PutRecord | null {
    const node = this.cluster.nodes[nodeIndex];
    if (node === undefined || !node.machine.alive || node.machine.paused) return null;
    const value = `v${this.#nextValue++}`;
    const record: PutRecord = {
      key,
      value,
      id: `id-${value}`,
      ifVersion,
      node: node.address,
      startedAt: this.cluster.scheduler.now,
      endedAt: null,
      outcome: null,
      timestamp: null,
      current: undefined,
    };
    this.puts.push(record);
    const end = (outcome: string, timestamp: number | null) => {
      record.outcome = outcome;
      record.timestamp = timestamp;
      record.endedAt = this.cluster.scheduler.now;
    };
    this.#watch(
      "put",
      nodeIndex,
      node.core.log.put(key, value, { id: record.id, ifVersion, timeoutMs: TIMEOUT_MS }).then(
        ({ timestamp }) => end("ok", timestamp),
        (error: unknown) => {
          const { code, current } = HedgerowError.from(error);
          record.current = current;
          end(code, null);
        },
      ),
    );
    return record;
  }

  #oneCall(kind: number, key: string, nodeIndex: number): void {
    const node = this.cluster.nodes[nodeIndex];
    if (node === undefined || !node.machine.alive || node.machine.paused) return;
    if (kind < 5) {
      this.put(key, nodeIndex);
      return;
    }
    const { messaging } = node.core;
    if (kind < 7) {
      this.#replace(key, nodeIndex, node);
      return;
    }
    if (kind < 9) {
      const sent = messaging.sendToLeader("hello", { timeoutMs: TIMEOUT_MS }).then(
        () => void this.sends++,
        (error: unknown) => this.#expected(error),
      );
      this.#watch("send", nodeIndex, sent);
      return;
    }
    const told = (async () => {
      for await (const _ of messaging.broadcast("hello", { timeoutMs: TIMEOUT_MS }))
        this.broadcasts++;
    })();
    this.#watch("broadcast", nodeIndex, told);
  }

  /** A get, and then a put on the condition that what it saw is the newest version still. */
  #replace(key: string, nodeIndex: number, { core }: SimulatedNode): void {
    const { scheduler } = this.cluster;
    const startedAt = scheduler.now;
    const [limit, count] = LIMITS[this.gets.length % LIMITS.length] ?? LIMITS[0];
    const replaced = core.log.get(key, { limit, timeoutMs: TIMEOUT_MS }).then(
      (entries) => {
        const ids = entries.map(({ id }) => id);
        const endedAt = scheduler.now;
        this.gets.push({ key, call: { kind: "get", ids, count }, startedAt, endedAt });
        this.put(key, nodeIndex, ids[0] ?? "");
      },
      (error: unknown) => this.#expected(error),
    );
    this.#watch("get", nodeIndex, replaced);
  }

  /** The calls to each key: those that may have done or told something. */
  histories(): Map<string, Operation<LogCall>[]> {
    const histories = new Map<string, Operation<LogCall>[]>();
    const add = (key: string, operation: Operation<LogCall>) => {
      const operations = histories.get(key) ?? [];
      histories.set(key, operations);
      operations.push(operation);
    };
    for (const { key, ...get } of this.gets) add(key, get);
    for (const put of this.puts) {
      const { key, id, ifVersion, startedAt, endedAt, outcome, current } = put;
      const call = { kind: "put", id, ifVersion } as const;
      if (outcome === "conflict") {
        add(key, { call: { ...call, conflictsWith: current ?? "" }, startedAt, endedAt });
      } else if (outcome === "ok" || isUnknown(put)) {
        add(key, { call, startedAt, endedAt: outcome === "ok" ? endedAt : null });
      }
    }
    return histories;
  }

  /** Under faults calls may fail, but only in the ways that are promised. */
  #expected(error: unknown): void {
    const { code, message } = HedgerowError.from(error);
    if (code === "internal") this.late.push(`internal error: ${message}`);
  }

  #watch(what: string, nodeIndex: number, call: Promise<void>): void {
    const { scheduler, nodes } = this.cluster;
    const machine = nodes[nodeIndex]?.machine;
    const startedAt = scheduler.now;
    let ended = false;
    this.#open++;
    void call
      .catch((error: unknown) => this.#expected(error))
      .finally(() => {
        ended = true;
        this.#open--;
      });
    // By the caller's own clock, which may be slow.
    scheduler.after((TIMEOUT_MS + 1) / (1 - MAX_DRIFT), () => {
      if (ended) return;
      if (machine?.alive === true && !machine.paused) {
        this.late.push(`${what} at ${startedAt.toFixed(0)} did not end by its deadline`);
      }
      // A paused caller learns it late, a killed one never.
      if (machine?.alive !== true) this.#open--;
    });
  }
}
