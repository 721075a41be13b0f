import { HedgerowError } from "../../src/errors.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { SeldomWarner } from "../../src/observe/seldom.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import { Budget } from "../../src/spill/budget.ts";
import { Buffers } from "../../src/spill/buffers.ts";
import type { RemotePlace } from "../../src/spill/catalog.ts";
import type { Elsewhere } from "../../src/spill/elsewhere.ts";
import { completeLimits } from "../../src/spill/limits.ts";
import type { Remote } from "../../src/spill/remote/remote.ts";
import type { Sealed } from "../../src/spill/sealed.ts";
import { Store } from "../../src/spill/store.ts";
import { clock, type FakeFiles } from "./kit.ts";

/** A segment that waits for its place. */
export interface Put {
  readonly sealed: Sealed;
  /** Takes what its bytes are by now. */
  keep(): void;
  refuse(): void;
}

/** Other nodes, whose answers the test gives. */
export class FakeElsewhere implements Elsewhere {
  readonly waiting: Put[] = [];
  readonly kept = new Map<number, Uint8Array>();
  /** How a fetch brings the bytes. Default: all at once. */
  bring: (bytes: Uint8Array, into: Uint8Array, onBytes: (end: number) => void) => void = (
    bytes,
    into,
    onBytes,
  ) => {
    into.set(bytes);
    onBytes(bytes.length);
  };
  #ids = 0;

  put(sealed: Sealed, signal: AbortSignal): Promise<RemotePlace> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void) => {
        const at = this.waiting.indexOf(put);
        if (at >= 0) this.waiting.splice(at, 1);
        settle();
      };
      const put: Put = {
        sealed,
        keep: () => {
          const id = this.#ids++;
          this.kept.set(id, new Uint8Array(Buffer.concat(sealed.pieces)));
          const { layout } = sealed;
          end(() => resolve({ tier: "remoteMemory", holder: "a:1", id, layout }));
        },
        refuse: () => end(() => reject(new HedgerowError("no_space", "no other node has room"))),
      };
      this.waiting.push(put);
      signal.addEventListener("abort", () => end(() => reject(signal.reason as Error)));
    });
  }

  async fetch(
    { id }: RemotePlace,
    into: Uint8Array,
    _: AbortSignal | undefined,
    onBytes: (end: number) => void = () => {},
  ): Promise<void> {
    this.bring(this.kept.get(id) as Uint8Array, into, onBytes);
  }

  free(): void {
    this.kept.clear();
  }
}

/** A store beside them, and what its node has in use. */
export function storeBeside(
  elsewhere: FakeElsewhere,
  given: { memoryBytes: number; diskBytes: number },
  files: FakeFiles | null = null,
  on: Clock = clock,
) {
  const memory = new Budget(given.memoryBytes);
  const disk = new Budget(given.diskBytes);
  const store = new Store({
    name: "a",
    limits: completeLimits(given, given),
    clock: on,
    warner: new SeldomWarner(on, silentLogger),
    memory,
    disk,
    buffers: new Buffers(on, memory),
    files,
    remote: { store: () => elsewhere } as unknown as Remote,
    onEnded() {},
  });
  return { store, memory, disk };
}
