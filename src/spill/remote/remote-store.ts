import type { Logger } from "../../observe/logger.ts";
import type { Peers } from "../../rpc/port.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { Catalog, RemotePlace } from "../catalog.ts";
import type { Elsewhere } from "../elsewhere.ts";
import type { CompleteLimits } from "../limits.ts";
import type { Sealed } from "../sealed.ts";
import { Fetcher } from "./fetcher.ts";
import { Holders } from "./holders.ts";
import type { Rooms } from "./rooms.ts";
import { Sender } from "./sender.ts";
import { Silences } from "./silences.ts";
import type { OwnerId } from "./wire.ts";

export interface RemoteStoreOptions {
  readonly name: string;
  readonly limits: CompleteLimits;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly rooms: Rooms;
  readonly owner: OwnerId;
  /** Addresses of the other nodes. */
  readonly others: () => string[];
  /** Something is kept elsewhere from now on. */
  readonly onFirst: () => void;
  readonly onFreed: () => void;
}

/** The memory and disks of other nodes, for one store. */
export class RemoteStore implements Elsewhere {
  readonly owner: OwnerId;
  readonly expiryMs: number;
  readonly holders: Holders;
  readonly #sender: Sender;
  readonly #fetcher: Fetcher;
  #freed = false;

  constructor(private readonly options: RemoteStoreOptions) {
    const { owner, clock, limits } = options;
    const { expiryMs } = limits;
    this.owner = owner;
    this.expiryMs = expiryMs;
    const silences = new Silences(clock, expiryMs);
    const onRenewed = (holder: string) => silences.end(holder);
    this.holders = new Holders({ ...options, expiryMs, onRenewed });
    this.#sender = new Sender({ ...options, holders: this.holders });
    this.#fetcher = new Fetcher({ ...options, silences });
  }

  async put(sealed: Sealed, signal: AbortSignal, onFailed?: () => void): Promise<RemotePlace> {
    const place = await this.#sender.put(sealed, signal, onFailed);
    if (this.#freed) this.free(); // in the instant in which it was acknowledged: nobody else would
    return place;
  }

  fetch(
    place: RemotePlace,
    into: Uint8Array,
    signal?: AbortSignal,
    onBytes?: (end: number) => void,
  ): Promise<void> {
    return this.#fetcher.fetch(place, into, signal, onBytes);
  }

  free(): void {
    this.#freed = true;
    this.options.onFreed(); // also where all holders were lost: nothing is to be renewed any more
  }
}
