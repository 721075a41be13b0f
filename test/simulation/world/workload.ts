import { HedgerowError } from "../../../src/errors.ts";
import type { SimulatedCluster } from "./cluster.ts";

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
}

const TIMEOUT_MS = 4_000;

/** Callers on all nodes that put, send and broadcast until a moment. */
export class Workload {
  readonly puts: PutRecord[] = [];
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

  start(untilMs: number, callers: number): void {
    const prng = this.cluster.prng.fork();
    const { scheduler } = this.cluster;
    for (let i = 0; i < callers; i++) {
      const again = () => {
        if (this.#stopped || scheduler.now >= untilMs) return;
        this.#oneCall(prng.int(10), `key-${prng.int(4)}`, prng.int(this.cluster.nodes.length));
        scheduler.after(prng.between(20, 400), again);
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
        (error: unknown) => end(HedgerowError.from(error).code, null),
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
    const { log, messaging } = node.core;
    if (kind < 7) {
      const replaced = log.get(key, { timeoutMs: TIMEOUT_MS }).then(
        ([newest]) => void this.put(key, nodeIndex, newest?.id ?? ""),
        (error: unknown) => this.#expected(error),
      );
      this.#watch("get", nodeIndex, replaced);
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
    scheduler.after(TIMEOUT_MS + 1, () => {
      if (ended) return;
      if (machine?.alive === true && !machine.paused) {
        this.late.push(`${what} at ${startedAt.toFixed(0)} did not end by its deadline`);
      }
      // A paused caller learns it late, a killed one never.
      if (machine?.alive !== true) this.#open--;
    });
  }
}
