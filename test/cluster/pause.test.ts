import { expect, test } from "bun:test";
import { AppendLoad, RegisterLoad } from "./load.ts";
import { BINARY, Cluster, LONG, type Node, UNPROTECTED_BINARY, until } from "./processes.ts";
import { describeOnStores, type StoreKind } from "./stores.ts";

const LEASE_MS = 2_000;
const REGISTERS = 16;
const RUNS = LONG ? 5 : 1;
/** The control needs the pause to fall into a write: it has some tries. */
const CONTROL_RUNS = 10;
/** Of each run, until somebody takes over; at once where a stopped leader keeps no database locked. */
const MAX_TRIES = 10;

interface Findings {
  /** Entries that the former leader wrote after another took over. */
  readonly stale: string[];
  /** Registers whose acknowledged value such an entry has replaced. */
  readonly lost: string[];
  readonly log: string[];
}

/**
 * Stops the leader for twice its lease under load, continues it, and looks at what it did on waking.
 * null if nobody took over: the stop fell into a transaction, whose lock on the SQLite file it then holds.
 */
async function pauseLeader(kind: StoreKind, binary: string): Promise<Findings | null> {
  await using store = await kind.make();
  await using cluster = await Cluster.start({ binary, store });
  const former = await cluster.settled();
  const others = cluster.nodes.filter((node) => node !== former);
  const [witness] = others as [Node];
  const registers = new RegisterLoad(others, REGISTERS);
  const appends = new AppendLoad(cluster, 4, 50);
  await Bun.sleep(500);
  former.signal("SIGSTOP");
  const stoppedAt = performance.now();
  // These wait at the stopped leader, and are the first that it finds on waking.
  const patient: Promise<unknown>[] = [];
  for (let wave = 0; wave < 5; wave++) {
    for (const i of registers.last.keys()) {
      const request = { key: `register-${i}`, value: `patient ${wave}`, noAppend: true };
      patient.push((others[i % others.length] as Node).call("Put", request, 15_000));
    }
    await Bun.sleep(50);
  }
  let token = Infinity;
  while (performance.now() - stoppedAt < 2 * LEASE_MS) {
    const status = await witness.status();
    if (status?.leader !== undefined && status.leader !== former.address)
      token = Number(status.token);
    await Bun.sleep(50);
  }
  // Nothing is written any more but what the former leader still has.
  await registers.stop();
  former.signal("SIGCONT");
  await until("the former leader answers", 5_000, async () => (await former.status()) !== null);
  await appends.stop();
  await Promise.all(patient);
  // The control's former leader never learns that it is one.
  if (binary === BINARY) await cluster.settled();
  const findings = {
    stale: await staleWrites(witness, former, token),
    lost: await lostUpdates(witness, former, token, registers.last),
    log: await appends.violations(witness),
  };
  if (token !== Infinity) return findings;
  expect(findings.log).toEqual([]);
  return null;
}

/** Registers whose acknowledged value a stale write of the former leader has replaced. */
async function lostUpdates(witness: Node, former: Node, token: number, last: readonly number[]) {
  const lost: string[] = [];
  for (const [i, acknowledged] of last.entries()) {
    const [entry] = await witness.entries(`register-${i}`, 0);
    if (entry === undefined || acknowledged === 0) continue;
    const stale = entry.leader === former.address && micros(entry.timestamp) > token;
    if (stale && entry.value !== `${acknowledged}`) {
      lost.push(`register-${i}: ${entry.value}, not ${acknowledged}`);
    }
  }
  return lost;
}

async function staleWrites(witness: Node, former: Node, token: number): Promise<string[]> {
  const keys = [
    ...Array.from({ length: REGISTERS }, (_, i) => `register-${i}`),
    ...Array.from({ length: 8 }, (_, i) => `load-${i}`),
  ];
  const stale: string[] = [];
  for (const key of keys) {
    for (const entry of await witness.entries(key)) {
      if (entry.leader === former.address && micros(entry.timestamp) > token) {
        stale.push(`${key} ${entry.id} at ${entry.timestamp}`);
      }
    }
  }
  return stale;
}

/** Microseconds of an RFC 3339 time with up to nine digits of fraction. */
function micros(timestamp: string): number {
  const [, seconds = "", fraction = ""] = /^(.*?)(?:\.(\d+))?Z$/.exec(timestamp) ?? [];
  return Date.parse(`${seconds}Z`) * 1e3 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

/** Runs of which in each somebody took over. */
async function* conclusiveRuns(
  kind: StoreKind,
  binary: string,
  runs: number,
): AsyncGenerator<Findings> {
  const maxTries = kind.pausedMayLock ? MAX_TRIES * runs : runs;
  let tries = 0;
  for (let run = 0; run < runs; tries++) {
    if (tries === maxTries) throw new Error(`nobody took over in most of ${tries} tries`);
    const findings = await pauseLeader(kind, binary);
    if (findings === null) continue;
    run++;
    yield findings;
  }
  console.log(`${runs} of ${tries} pauses fell outside of a transaction`);
}

describeOnStores("a stopped leader", (kind) => {
  test(
    `L7, C5: for twice its lease under load, it writes nothing on waking (${RUNS} runs)`,
    async () => {
      for await (const findings of conclusiveRuns(kind, BINARY, RUNS)) {
        expect(findings).toEqual({ stale: [], lost: [], log: [] });
      }
    },
    RUNS * MAX_TRIES * 30_000,
  );

  test(
    "control: with fence and deadline checks off it does, and updates are lost",
    async () => {
      for await (const { stale, lost } of conclusiveRuns(kind, UNPROTECTED_BINARY, CONTROL_RUNS)) {
        if (stale.length === 0 || lost.length === 0) continue;
        console.log(`control: ${stale.length} stale writes, ${lost.length} lost updates`);
        return;
      }
      throw new Error(
        `no stale write in ${CONTROL_RUNS} runs: the test cannot find what it looks for`,
      );
    },
    CONTROL_RUNS * MAX_TRIES * 30_000,
  );
});
