import { lockRowName } from "../../../src/lock/row-name.ts";
import type { SimulatedCluster } from "./cluster.ts";
import { GoStatements } from "./go-statements.ts";
import { Machine } from "./machine.ts";

/** Probabilities that the process pauses after a statement before it goes on, and that it dies there. */
interface Disturbance {
  readonly pause: number;
  readonly death: number;
}
const WATCHING: Disturbance = { pause: 0.03, death: 0.01 };
const LEADING: Disturbance = { pause: 0.2, death: 0.1 };
const TAKING_OVER: Disturbance = { pause: 0.3, death: 0.15 };
/** A statement that cannot reach the database is sent again after this, in milliseconds. */
const RESEND_MS = 100;

/** The statements of a Go process at `writer`, against a simulated cluster's own lock. */
export function goStatements(cluster: SimulatedCluster, writer: string): GoStatements {
  const { database, scheduler, options } = cluster;
  return new GoStatements(
    database.locks,
    scheduler,
    options.observer,
    lockRowName("simulated"),
    writer,
  );
}

/**
 * Two to four Go processes that contend for the cluster's lock until a moment; new ones follow the dead.
 * In half of the worlds the last of them dies with its marker inserted, and the row not yet written.
 */
export function addGoContenders(cluster: SimulatedCluster, untilMs: number): void {
  const { scheduler, options } = cluster;
  const prng = cluster.prng.fork();
  const count = 2 + prng.int(3);
  for (let i = 1; i <= count; i++) {
    const start = () => {
      if (scheduler.now >= untilMs) return;
      const contender = new GoContender(cluster, `10.0.1.${i}:8080`, prng.fork(), () =>
        scheduler.after(prng.between(0.1, 2) * options.leaseMs, start),
      );
      scheduler.at(untilMs, () => contender.machine.kill());
    };
    scheduler.after(prng.between(0, options.leaseMs), start);
  }
  const last = goStatements(cluster, "10.0.1.9:8080");
  if (prng.chance(0.5)) scheduler.at(untilMs, () => last.insertMarker(last.readToken()));
}

/** A process of the Go system, as far as the lock goes. */
class GoContender {
  readonly machine: Machine;
  readonly #statements: GoStatements;
  readonly #leaseMs: number;
  /** Newer versions count a heartbeat as expired only when it is late by a second. */
  readonly #graceMs: number;
  /** Some versions delete the markers with every second heartbeat. */
  readonly #deletesMarkers: boolean;
  /** Of its last take-over. */
  #token: number | null = null;
  #initial = true;

  constructor(
    private readonly cluster: SimulatedCluster,
    readonly address: string,
    private readonly prng: SimulatedCluster["prng"],
    private readonly onDeath: () => void,
  ) {
    this.#leaseMs = cluster.options.leaseMs;
    this.#graceMs = prng.pick([0, 0, 0, 1_000]);
    this.#deletesMarkers = prng.chance(0.5);
    this.machine = new Machine(cluster.scheduler);
    this.#statements = goStatements(cluster, address);
    this.#every(this.#leaseMs / 2, () => this.#locked(false));
    this.#every(this.#leaseMs, () => this.#contend());
  }

  /** As a ticker: what comes while the last one is under way is left out. */
  #every(ms: number, work: () => Promise<unknown>): void {
    let active = false;
    const tick = () => {
      this.machine.schedule(ms, tick);
      if (active) return;
      active = true;
      void work().finally(() => {
        active = false;
      });
    };
    this.machine.schedule(ms, tick);
  }

  /** Whether somebody holds the lock; if it is this process, it renews. */
  async #locked(deletesMarkers: boolean): Promise<boolean> {
    const go = this.#statements;
    const { token, diffMs } = await this.#send("check", WATCHING, () => go.check());
    if (this.#token !== null && this.#token === token) {
      await this.#send("heartbeat", LEADING, () => go.heartbeat(deletesMarkers));
      return true;
    }
    return diffMs > 0 && diffMs < this.#leaseMs + this.#graceMs;
  }

  async #contend(): Promise<void> {
    const go = this.#statements;
    if (await this.#locked(this.#deletesMarkers)) return;
    if (this.#initial) {
      this.#initial = false;
      this.#token = await this.#send("insert", TAKING_OVER, () => go.insertRow());
      if (this.#token !== null) return;
    }
    const judged = await this.#send("read", TAKING_OVER, () => go.readToken());
    const token = await this.#send("marker", TAKING_OVER, () => go.insertMarker(judged));
    if (token === null) return;
    await this.#send("update", TAKING_OVER, () => go.update(token));
    this.#token = token;
  }

  /** Goes on once the statement was answered, after a pause at times, or never: then the process has died. */
  #send<T>(what: string, disturbance: Disturbance, apply: () => T): Promise<T> {
    return new Promise((resolve) =>
      this.#travel(what, () => {
        const result = apply();
        this.#travel(`${what} answer`, () =>
          this.machine.arrive(() => {
            this.#disturb(disturbance);
            this.machine.arrive(() => resolve(result));
          }),
        );
      }),
    );
  }

  #travel(what: string, arrive: () => void): void {
    const { scheduler, storeFaults, trace } = this.cluster;
    const delayMs = this.prng.between(storeFaults.minDelayMs, storeFaults.maxDelayMs);
    scheduler.after(delayMs, () => {
      if (storeFaults.down) {
        this.machine.schedule(RESEND_MS, () => this.#travel(what, arrive));
        return;
      }
      trace.add(scheduler.now, `${this.address} store ${what}`);
      arrive();
    });
  }

  #disturb({ pause, death }: Disturbance): void {
    const { scheduler, trace } = this.cluster;
    if (this.prng.chance(death)) {
      trace.add(scheduler.now, `crash ${this.address}`);
      this.machine.kill();
      this.onDeath();
    } else if (this.prng.chance(pause)) {
      trace.add(scheduler.now, `pause ${this.address}`);
      this.machine.pause();
      const pausedMs = this.prng.between(0.1, 4) * this.#leaseMs;
      scheduler.after(pausedMs, () => this.machine.resume());
    }
  }
}
