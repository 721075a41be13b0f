import { HedgerowError } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import { SeldomWarner } from "../observe/seldom.ts";
import type { ScratchFiles } from "../runtime/scratch.ts";
import type { Clock } from "../runtime/runtime.ts";
import { checkName } from "../store/limits.ts";
import type { SpillLimits, SpillStore } from "./api.ts";
import { Budget } from "./budget.ts";
import { Buffers } from "./buffers.ts";
import { stoppedNode } from "./errors.ts";
import { EndedStores } from "./ended.ts";
import { completeLimits, otherLimit } from "./limits.ts";
import { Holder, type HolderCluster } from "./remote/holder.ts";
import type { Compression } from "./compression.ts";
import { Remote, type RemoteOptions } from "./remote/remote.ts";
import { Store } from "./store.ts";

const WHAT = "name of the spill store";

export interface SpillOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Limits of this node, for its own stores and for what it keeps for others, in bytes. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** null: no disk. */
  readonly files: ScratchFiles | null;
  /** The other nodes. Absent: none. */
  readonly cluster?: (HolderCluster & Pick<RemoteOptions, "others">) | undefined;
  /** Of what is sent to them. Default none. */
  readonly compression?: Compression | undefined;
}

/** The spill stores of a node, by name. */
export class Spill {
  readonly memory: Budget;
  readonly disk: Budget;
  /** What this node keeps for others. */
  readonly holder: Holder;
  readonly #remote: Remote | null;
  readonly #warner: SeldomWarner;
  readonly #buffers: Buffers;
  readonly #stores = new Map<string, Store>();
  readonly #ended: EndedStores;
  #stopped = false;

  constructor(private readonly options: SpillOptions) {
    this.memory = new Budget(options.memoryBytes);
    this.disk = new Budget(options.diskBytes);
    const { clock, logger, files, cluster, compression = "none" } = options;
    this.#remote =
      cluster === undefined ? null : new Remote({ clock, logger, compression, ...cluster });
    this.#warner = new SeldomWarner(clock, logger);
    this.#ended = new EndedStores(clock);
    this.#buffers = new Buffers(options.clock, this.memory);
    const shared = { memory: this.memory, disk: this.disk, buffers: this.#buffers };
    this.holder = new Holder({ clock, logger, files, ...shared, cluster: cluster ?? null });
  }

  /** How many stores there are. */
  get size(): number {
    return this.#stores.size;
  }

  /**
   * The store of this name, made if there is none. Throws `other_limit` if it lives with other limits than those that
   * are given, `invalid_argument`, `stopped`.
   */
  store(name: string, limits: SpillLimits = {}): SpillStore {
    if (this.#stopped) throw stoppedNode();
    const known = this.#stores.get(name);
    if (known !== undefined) {
      checkSame(known, limits);
      return known;
    }
    checkName(name, WHAT);
    const { clock, files } = this.options;
    const complete = completeLimits(limits, this.options);
    const store = new Store({
      name,
      limits: complete,
      clock,
      warner: this.#warner,
      files,
      memory: this.memory,
      disk: this.disk,
      buffers: this.#buffers,
      remote: this.#remote,
      onEnded: (how) => {
        this.#stores.delete(name);
        this.#ended.add(name, how);
      },
    });
    this.#stores.set(name, store);
    return store;
  }

  /** The store of this name. Throws `not_found` if there is none, `invalid_argument` for what is no name, `stopped`. */
  find(name: string): SpillStore {
    if (this.#stopped) throw stoppedNode();
    const store = this.#stores.get(name);
    if (store !== undefined) return store;
    checkName(name, WHAT);
    const story =
      this.#ended.storyOf(name) ?? "it lives where it was written, until it is closed or expires";
    throw new HedgerowError("not_found", `no spill store ${name} on this node: ${story}`);
  }

  /** All of them, by their names. Throws `stopped`. */
  all(): SpillStore[] {
    if (this.#stopped) throw stoppedNode();
    return [...this.#stores.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** Tells the members what this node has room for, and goes on to. */
  start(): void {
    this.holder.start();
  }

  /** What members say that the one at the address has room for. */
  heardRoom(address: string, body: Uint8Array, stamp: number): void {
    this.#remote?.rooms.heard(address, body, stamp);
  }

  /** Frees what an earlier process at the address owned here, if there is another one; renews what is kept there. */
  memberJoined(address: string): void {
    this.holder.memberJoined(address);
    this.#remote?.memberJoined(address);
  }

  /** There is another process, or none, as far as members know: stores ask whether what they have there is lost. */
  addressVacated(address: string): void {
    this.#remote?.addressVacated(address);
  }

  /** Frees all stores, and what is kept for others. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all([...this.#stores.values()].map((store) => store.stop()));
    await this.#remote?.stop();
    this.holder.stop();
    this.#buffers.stop();
  }
}

function checkSame({ name, limits }: Store, given: SpillLimits): void {
  const other = otherLimit(limits, given);
  if (other === null) return;
  throw new HedgerowError(
    "other_limit",
    `spill store ${name} lives with ${other} ${limits[other]}, not ${given[other]}: close it first, or leave ${other} out`,
  );
}
