import { accessSync, constants, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { lockRowName } from "../../lock/row-name.ts";
import { leaseTiming } from "../../lock/timing.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { openStore } from "../../store/open.ts";
import type { LockRow, Store } from "../../store/ports.ts";
import { inspectSqlite } from "../../store/sqlite/inspect.ts";
import { describeMount } from "../../store/sqlite/mount.ts";
import { durationText } from "../values.ts";
import { failed, failedBy, fine, type Finding } from "./finding.ts";

const PING_TIMEOUT_MS = 2_000;

export interface StoreQuestion {
  /** `sqlite:PATH` */
  readonly spec: string;
  readonly lockTable: string;
  readonly logTable: string;
  readonly lockName: string;
  /** Of this node, where the lock's row does not tell its leader's. */
  readonly leaseMs: number;
}

export interface StoreReport {
  readonly findings: readonly Finding[];
  /** Milliseconds since the epoch at which the file was last written. */
  readonly writtenMs: number | null;
  /** Address of the node that the lock's row names, if its lease is not over. */
  readonly leader: string | null;
}

/** Looks without changing anything: what is missing, `serve` will create. */
export async function checkStore(question: StoreQuestion, runtime: Runtime): Promise<StoreReport> {
  const path = question.spec.slice("sqlite:".length);
  const mount = checkMount(path);
  let writtenMs: number | null = null;
  let leader: string | null = null;
  let lease: Finding[] = [];
  const look = async (): Promise<Finding> => {
    if (statSync(resolve(path), { throwIfNoEntry: false })?.isDirectory() === true) {
      return failed("store", `${path} is a directory`, "name a file");
    }
    const inspected = inspectSqlite(path, question);
    if (inspected === null) return checkCreatable(path);
    writtenMs = inspected.writtenMs;
    if (inspected.missing.length > 0) {
      return fine(
        "store",
        `${path} has no ${inspected.missing.join(" and ")} yet: serve creates it`,
      );
    }
    await using stack = new AsyncDisposableStack();
    const store = await openStore(question.spec, { ...question, runtime });
    stack.defer(() => store.close());
    const started = runtime.clock.now();
    await store.ping({ timeoutMs: PING_TIMEOUT_MS });
    const holder = await liveHolder(store, question);
    if (holder !== null) {
      leader = holder.writer;
      lease = checkLease(holder, question.leaseMs);
    }
    return fine("store", `${path} answers in ${Math.ceil(runtime.clock.now() - started)} ms`);
  };
  const found = await look().catch((error) => failedBy("store", error));
  return { findings: [found, ...lease, ...mount], writtenMs, leader };
}

/** The lock's row, if nobody may take it over yet. */
async function liveHolder(
  store: Store,
  { lockName, leaseMs }: StoreQuestion,
): Promise<LockRow | null> {
  const row = await store.lock.read(lockRowName(lockName), { timeoutMs: PING_TIMEOUT_MS });
  if (row === null || row.ageMs === null) return null;
  return row.ageMs < leaseTiming(row.leaseMs ?? leaseMs).takeOverAgeMs ? row : null;
}

function checkLease(holder: LockRow, leaseMs: number): Finding[] {
  if (holder.leaseMs === null) return [];
  const theirs = durationText(holder.leaseMs);
  if (holder.leaseMs === leaseMs) return [fine("lease", `${theirs}, as ${holder.writer} has it`)];
  const problem = `${durationText(leaseMs)}, but ${holder.writer}, which leads, has ${theirs}`;
  return [failed("lease", problem, `give --lease ${theirs}, the same on all nodes`)];
}

function checkCreatable(path: string): Finding {
  const directory = dirname(resolve(path));
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
    return fine("store", `${path} is not there yet: serve creates it`);
  } catch {
    const fix = `make ${directory} a directory that this user may write`;
    return failed("store", `${path} cannot be created`, fix);
  }
}

function checkMount(path: string): Finding[] {
  const mount = describeMount(path);
  if (mount === null) return [];
  const where = `${mount.type} at ${mount.directory}`;
  if (mount.supported) return [fine("file system", where)];
  return [
    failed(
      "file system",
      `${where} is shared over a network or with a virtual machine, where SQLite's locks do not hold`,
      "choose a --store on a local disk",
    ),
  ];
}
