import { HedgerowError } from "../errors.ts";
import { Operation, sleep } from "../runtime/operation.ts";
import { checkUserKey, checkVersionId } from "../store/limits.ts";
import { type LogCursor, NO_APPEND_ID, type StoredEntry } from "../store/ports.ts";
import type { CommitFeed } from "./commit-feed.ts";
import { type KeyReads, PAGE_ENTRIES, type Page, WatchedKey } from "./watched-key.ts";

/**
 * Who has read all there was so recently has missed nothing, since no version is removed so soon after it was
 * written (MIN_KEEP_MS of expiry.ts, less what clocks differ in their rates).
 */
const SURELY_KEPT_MS = 50_000;

export interface WatchesOptions extends KeyReads {
  readonly feed: CommitFeed;
  /** Whether old versions are removed, as far as this node's settings say. */
  readonly removal: boolean;
  readonly shutdown: AbortSignal;
}

/** Where a watcher is. */
interface Place {
  readonly after: LogCursor | null;
  /** The last appended version up to there: while it is there, so is all that came after it. */
  readonly anchor: LogCursor | null;
  /** There was nothing behind it at this moment of the node's clock. */
  readonly completeAt: number;
}

/** Those who watch keys on this node. Each reads by its own place, and so waits for nobody but itself. */
export class Watches {
  readonly #keys = new Map<string, { readonly watched: WatchedKey; readonly leave: () => void }>();

  #watching = 0;

  constructor(private readonly options: WatchesOptions) {
    // Somebody who has not asked for the next version does not hear of the end; no timer may wait for that.
    const stop = () => {
      for (const { watched } of this.#keys.values()) watched.stop();
    };
    options.shutdown.addEventListener("abort", stop, { once: true });
  }

  /** How many watch at the moment. */
  get size(): number {
    return this.#watching;
  }

  /** See HedgerowNode.watch. */
  watch(
    key: string,
    fromId: string | undefined,
    signal: AbortSignal | undefined,
  ): AsyncIterableIterator<StoredEntry> {
    const left = new AbortController();
    const own = signal === undefined ? left.signal : AbortSignal.any([left.signal, signal]);
    const versions = this.#versions(key, fromId, own);
    return {
      next: () => versions.next(),
      async return() {
        left.abort(); // whatever it is waiting for
        await versions.return();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** This node itself has written the key. */
  written(key: string): void {
    this.#keys.get(key)?.watched.sign();
  }

  async *#versions(
    key: string,
    fromId: string | undefined,
    own: AbortSignal,
  ): AsyncGenerator<StoredEntry, void, undefined> {
    checkUserKey(key);
    if (own.aborted) return;
    const { runtime, shutdown } = this.options;
    const limits = { signal: own, timeoutMs: Number.POSITIVE_INFINITY };
    using operation = new Operation(runtime.clock, "watch", limits, limits.timeoutMs, shutdown);
    const watched = this.#enter(key);
    this.#watching++;
    try {
      let place = await operation.race(this.#begin(key, fromId));
      for (;;) {
        const page = await operation.race(watched.page(place.after, operation));
        place = await operation.race(this.#advance(key, place, page));
        for (const entry of page.entries) {
          yield entry;
          if (own.aborted) return;
        }
        if (page.entries.length < PAGE_ENTRIES) await operation.race(watched.signAfter(page.signs));
        // A store that answers without I/O would keep everybody else waiting for a long history.
        else await sleep(runtime.clock, 0, operation.signal);
      }
    } catch (error) {
      if (!own.aborted) throw error;
    } finally {
      this.#watching--;
      this.#leave(key, watched);
    }
  }

  async #begin(key: string, fromId: string | undefined): Promise<Place> {
    const { store, runtime } = this.options;
    const completeAt = runtime.clock.now();
    if (fromId === undefined) {
      const [newest] = await store.read(key, 0);
      const after = newest === undefined ? null : placeOf(newest);
      return { after, anchor: appended(after), completeAt };
    }
    if (fromId === "") return { after: null, anchor: null, completeAt: Number.NEGATIVE_INFINITY };
    checkVersionId(fromId);
    const timestamp = await store.locate(key, fromId);
    if (timestamp === null) {
      throw new HedgerowError(
        "invalid_argument",
        `watch: ${JSON.stringify(key)} has no version ${JSON.stringify(fromId)}, or no longer: begin elsewhere`,
      );
    }
    const after = { timestamp, id: fromId };
    return { after, anchor: appended(after), completeAt: Number.NEGATIVE_INFINITY };
  }

  /**
   * The place behind a page. Throws `expired` if versions between may have been removed: they go from the
   * oldest on, so none has while the anchor is there.
   */
  async #advance(key: string, place: Place, { entries, readAt }: Page): Promise<Place> {
    const { runtime } = this.options;
    const { anchor } = place;
    const late = runtime.clock.now() - place.completeAt > SURELY_KEPT_MS;
    if (late && entries.length > 0 && (await this.#mayHaveMissed(key, place))) {
      throw expired(key, anchor);
    }
    const newest = entries.at(-1);
    const newestAppended = entries.findLast((entry) => appended(entry) !== null);
    const complete = entries.length < PAGE_ENTRIES;
    return {
      after: newest === undefined ? place.after : placeOf(newest),
      anchor: newestAppended === undefined ? anchor : placeOf(newestAppended),
      completeAt: complete ? readAt : place.completeAt,
    };
  }

  async #mayHaveMissed(key: string, { anchor, completeAt }: Place): Promise<boolean> {
    const { store, removal } = this.options;
    if (anchor !== null) return (await store.locate(key, anchor.id)) !== anchor.timestamp;
    // Nothing shows what was removed after it saw that there was none; who begins with the oldest has not looked.
    return removal && completeAt !== Number.NEGATIVE_INFINITY;
  }

  #enter(key: string): WatchedKey {
    const known = this.#keys.get(key);
    if (known !== undefined) {
      known.watched.watchers++;
      return known.watched;
    }
    const watched = new WatchedKey(key, this.options);
    const leave = this.options.feed.watch(key, watched.sign);
    this.#keys.set(key, { watched, leave });
    watched.watchers++;
    watched.start();
    return watched;
  }

  #leave(key: string, watched: WatchedKey): void {
    watched.watchers--;
    if (watched.watchers > 0) return;
    watched.stop();
    this.#keys.get(key)?.leave();
    this.#keys.delete(key);
  }
}

/** Without the value. */
function placeOf({ timestamp, id }: StoredEntry): LogCursor {
  return { timestamp, id };
}

/** Null for the `-` row, which comes and goes. */
function appended(version: LogCursor | null): LogCursor | null {
  return version === null || version.id === NO_APPEND_ID ? null : version;
}

function expired(key: string, anchor: LogCursor | null): HedgerowError {
  const after = anchor === null ? "" : ` after ${JSON.stringify(anchor.id)}`;
  return new HedgerowError(
    "expired",
    `watch: versions of ${JSON.stringify(key)}${after} may have been removed: begin anew`,
  );
}
