import { HedgerowError, messageOf } from "../../errors.ts";
import type { Peers } from "../../rpc/port.ts";
import { Operation, sleep } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { RemotePlace } from "../catalog.ts";
import { goneFrom } from "./holders.ts";
import { isSilence, type Silences } from "./silences.ts";
import { nobodyListens } from "./start.ts";
import { FETCH, OPEN_MS, type OwnerId, TRANSFER_MS } from "./wire.ts";

export interface FetcherOptions {
  readonly clock: Clock;
  readonly peers: Peers;
  readonly owner: OwnerId;
  /** Addresses of the other nodes. */
  readonly others: () => string[];
  readonly silences: Silences;
}

/** Fetches segments of one store back from the nodes that keep them. */
export class Fetcher {
  constructor(private readonly options: FetcherOptions) {}

  /** Waits for a holder that does not answer: it may be busy, or stand still for a while (`Silences`). */
  async fetch(
    place: RemotePlace,
    into: Uint8Array,
    signal?: AbortSignal,
    onBytes?: (end: number) => void,
  ): Promise<void> {
    const { clock, others, silences } = this.options;
    const { holder } = place;
    silences.check(holder);
    for (;;) {
      const openMs = Math.min(OPEN_MS, silences.tryForMs(holder));
      try {
        await this.#receive(place, into, openMs, signal, onBytes);
        silences.end(holder);
        return;
      } catch (error) {
        if (signal?.aborted) throw error;
        const isGone = nobodyListens(error) && !others().includes(holder);
        if (isGone || !isSilence(error)) {
          silences.end(holder);
          const { code, why } = goneFrom(holder, messageOf(error));
          throw new HedgerowError(code, why, { cause: error });
        }
        await sleep(clock, silences.pauseMs(holder, messageOf(error)), signal);
      }
    }
  }

  async #receive(
    place: RemotePlace,
    into: Uint8Array,
    timeoutMs: number,
    signal?: AbortSignal,
    onBytes?: (end: number) => void,
  ): Promise<void> {
    const { peers, clock, owner } = this.options;
    using operation = new Operation(clock, "spill", { signal }, TRANSFER_MS);
    const opening = { owner, segment: place.id };
    const chunks = await peers.stream(place.holder, FETCH, opening, [], {
      signal: operation.signal,
      timeoutMs,
    });
    let at = 0;
    onBytes?.(at);
    await chunks.each((chunk) => {
      if (at + chunk.length > into.length) throw wrongLength();
      into.set(chunk, at);
      at += chunk.length;
      onBytes?.(at);
    });
    if (at < into.length) throw wrongLength();
  }
}

function wrongLength(): HedgerowError {
  return new HedgerowError("data_lost", "the segment has another length than what was written");
}
