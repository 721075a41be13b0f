import { HedgerowError } from "../../../src/errors.ts";
import { FAST_PROFILE } from "../../../src/members/timing.ts";
import type { NodeConfig } from "../../../src/node/config.ts";
import { Core } from "../../../src/node/core.ts";
import { silentLogger } from "../../../src/observe/logger.ts";
import type { Clock } from "../../../src/runtime/runtime.ts";
import { MemoryDatabase } from "../../../src/store/memory/database.ts";
import type { Store } from "../../../src/store/ports.ts";
import { Machine, MAX_DRIFT } from "./machine.ts";
import { Network } from "./network.ts";
import { Prng } from "./prng.ts";
import { Scheduler } from "./scheduler.ts";
import { type CommitObserver, NO_STORE_FAULTS, type StoreFaults, StoreLink } from "./store.ts";
import { Trace } from "./trace.ts";

export interface SimulatedNode {
  readonly address: string;
  machine: Machine;
  core: Core;
  /** Why it did not start. */
  startError: HedgerowError | null;
}

type Booted = Pick<SimulatedNode, "machine" | "core" | "startError">;

export interface ClusterOptions {
  readonly nodes: number;
  readonly leaseMs: number;
  readonly observer: CommitObserver;
  /** false: the control, in which fence and deadline checks are off. */
  readonly protections?: boolean;
  readonly keepLines?: boolean;
  /** Whether the nodes' clocks run as much faster and slower than the database's as MAX_DRIFT allows. Default false. */
  readonly drift?: boolean | undefined;
  /** Puts something in front of the nodes' store: a control, in which it does less than it should. */
  readonly store?: ((store: Store) => Store) | undefined;
  /** false: nodes of members alone. Default true. */
  readonly stored?: boolean | undefined;
  /** The same for their clocks. */
  readonly clock?: ((clock: Clock) => Clock) | undefined;
  /** What a node's configuration has of its own. */
  readonly configure?: (address: string) => Partial<NodeConfig>;
}

/** A whole cluster in one process: the real parts of each node in a simulated world. */
export class SimulatedCluster {
  readonly scheduler = new Scheduler();
  readonly prng: Prng;
  readonly trace: Trace;
  readonly network: Network;
  readonly storeFaults: StoreFaults = { ...NO_STORE_FAULTS };
  readonly database: MemoryDatabase;
  /** What the database runs on. */
  readonly databaseMachine: Machine;
  readonly nodes: SimulatedNode[] = [];
  #healed = false;

  constructor(
    seed: number,
    readonly options: ClusterOptions,
  ) {
    this.prng = new Prng(seed);
    this.trace = new Trace(options.keepLines ?? false);
    this.network = new Network(this.scheduler, this.prng.fork(), this.trace);
    this.databaseMachine = new Machine(this.scheduler);
    this.database = new MemoryDatabase(this.databaseMachine);
    const clocks = this.prng.fork();
    for (let i = 0; i < options.nodes; i++) {
      const address = `10.0.0.${i + 1}:8080`;
      const rate = options.drift === true ? 1 + clocks.between(-MAX_DRIFT, MAX_DRIFT) : 1;
      this.nodes.push({ address, ...this.#boot(address, new Machine(this.scheduler, rate)) });
    }
  }

  /** One more node, at an address that nobody has had. */
  add(address: string): SimulatedNode {
    this.trace.add(this.scheduler.now, `add ${address}`);
    const node = { address, ...this.#boot(address, new Machine(this.scheduler)) };
    this.nodes.push(node);
    return node;
  }

  /** The process ends without a word; its address stays. */
  crash(node: SimulatedNode): void {
    this.trace.add(this.scheduler.now, `crash ${node.address}`);
    node.machine.kill();
    this.network.close(node.address);
  }

  /** A new process at the address of a crashed or stopped one. */
  restart(node: SimulatedNode): void {
    this.trace.add(this.scheduler.now, `restart ${node.address}`);
    Object.assign(node, this.#boot(node.address, node.machine.successor()));
  }

  /** A planned stop; the process is gone when it is done. */
  stop(node: SimulatedNode): void {
    this.trace.add(this.scheduler.now, `stop ${node.address}`);
    const { machine, core } = node;
    void core.stop().then(() => {
      machine.kill();
      this.network.close(node.address);
      if (this.#healed) this.restart(node);
    });
  }

  pause(node: SimulatedNode): void {
    this.trace.add(this.scheduler.now, `pause ${node.address}`);
    node.machine.pause();
  }

  resume(node: SimulatedNode): void {
    this.trace.add(this.scheduler.now, `resume ${node.address}`);
    node.machine.resume();
  }

  /** Sets the wall clock of a machine. */
  jump(machine: Machine, ms: number): void {
    this.trace.add(this.scheduler.now, `wall clock ${ms} ms`);
    machine.jump(ms);
  }

  /** Cuts the nodes into those and the others; asymmetric: only what those send is dropped. */
  partition(those: readonly SimulatedNode[], asymmetric: boolean): void {
    this.trace.add(this.scheduler.now, `partition ${those.map((node) => node.address).join()}`);
    for (const a of those) {
      for (const b of this.nodes) {
        if (those.includes(b)) continue;
        this.network.cut(a.address, b.address);
        if (!asymmetric) this.network.cut(b.address, a.address);
      }
    }
  }

  /** Every fault ends; crashed nodes come back. */
  heal(): void {
    this.#healed = true;
    this.network.healAll();
    Object.assign(this.storeFaults, NO_STORE_FAULTS);
    for (const node of this.nodes) {
      if (node.machine.paused) this.resume(node);
      if (!node.machine.alive) this.restart(node);
    }
  }

  leaders(): SimulatedNode[] {
    return this.nodes.filter(({ machine, core }) => machine.alive && core.isLeader);
  }

  #boot(address: string, machine: Machine): Booted {
    const { scheduler, storeFaults, trace } = this;
    const { store = (same) => same, clock = (same) => same, observer } = this.options;
    const link = new StoreLink(
      store(this.database.connect()),
      address,
      machine,
      scheduler,
      this.prng.fork(),
      storeFaults,
      trace,
      observer,
    );
    const incarnation = Math.floor(machine.wallMicros() / 1e3);
    const core = new Core(this.#config(address, incarnation), {
      runtime: { clock: clock(machine), random: this.prng.fork() },
      store: this.options.stored === false ? null : link.store(),
      peers: this.network.peersOf(address, machine),
    });
    this.network.listen(address, machine, core.routes, core.streamRoutes);
    // Nodes do not start in the same instant.
    const booted: Booted = { machine, core, startError: null };
    machine.schedule(this.prng.between(0, 50), () => {
      core.start().catch((error: unknown) => {
        // The process ends, as `serve` does.
        const node = this.nodes.find((candidate) => candidate.core === core);
        if (node !== undefined) node.startError = HedgerowError.from(error);
        machine.kill();
        this.network.close(address);
      });
    });
    return booted;
  }

  #config(address: string, incarnation: number): NodeConfig {
    return {
      name: address,
      address,
      incarnation,
      label: "simulated",
      lockName: "simulated",
      leaseMs: this.options.stored === false ? 0 : this.options.leaseMs,
      gossip: FAST_PROFILE,
      state: "participant",
      retention: null,
      spill: { folder: "", memoryBytes: 1 << 20, compression: "none", diskBytes: 0 },
      join: [],
      sharder: undefined,
      logger: silentLogger,
      onSend: (data) => data,
      onBroadcast: (data) => data,
      onStream: (messages) => messages,
      onStreamBroadcast: (messages) => messages,
      onLeaderChange: undefined,
      onMembersChanged: undefined,
      onFatal: undefined,
      protections: this.options.protections ?? true,
      ...this.options.configure?.(address),
    };
  }
}
