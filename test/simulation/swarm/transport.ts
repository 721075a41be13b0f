import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HedgerowError } from "../../../src/errors.ts";
import type { Address, PeerRoute, Peers } from "../../../src/rpc/port.ts";
import type { Machine } from "../world/machine.ts";
import type { Prng } from "../world/prng.ts";
import type { Scheduler } from "../world/scheduler.ts";

/** One way, milliseconds: machines of one data centre. */
const MIN_DELAY_MS = 0.2;
const MAX_DELAY_MS = 2;

interface Listener {
  readonly machine: Machine;
  readonly routes: ReadonlyMap<string, PeerRoute>;
}

/**
 * A network for hundreds of nodes: the real codec, delay, loss and partitions, and the bytes counted. A crashed
 * machine is silent, as one whose power is gone: nothing refuses connections on its behalf.
 */
export class Transport {
  loss = 0;
  /** Sees every request that is sent. */
  onRequest: (to: Address, method: string, bytes: Uint8Array) => void = () => {};
  /** Payload bytes of requests and replies, by method. */
  readonly bytes: Record<string, number> = {};
  /** Nodes of different sides do not hear each other. */
  readonly #sides = new Map<Address, number>();
  readonly #listeners = new Map<Address, Listener>();

  constructor(
    private readonly scheduler: Scheduler,
    private readonly prng: Prng,
  ) {}

  listen(address: Address, machine: Machine, routes: readonly PeerRoute[]): void {
    const byName = new Map(routes.map((route) => [route.method.name, route]));
    this.#listeners.set(address, { machine, routes: byName });
  }

  setSide(address: Address, side: number): void {
    this.#sides.set(address, side);
  }

  heal(): void {
    this.#sides.clear();
  }

  get totalBytes(): number {
    return Object.values(this.bytes).reduce((sum, bytes) => sum + bytes, 0);
  }

  peersOf(self: Address, machine: Machine): Peers {
    return {
      forget() {},
      stream: () =>
        Promise.reject(new HedgerowError("not_supported", "members gossip without streams")),
      unary: (to, method, init, { timeoutMs = 10_000 } = {}) => {
        const request = this.#count(
          method.name,
          toBinary(method.input, create(method.input, init)),
        );
        this.onRequest(to, method.name, request);
        return new Promise((resolve, reject) => {
          const timer = machine.schedule(timeoutMs, () =>
            reject(new HedgerowError("timeout", `${method.name}: no reply from ${to}`)),
          );
          this.#travel(self, to, () =>
            this.#serve(to, method.name, request, timeoutMs, (reply) =>
              this.#travel(to, self, () =>
                machine.arrive(() => {
                  timer.cancel();
                  if (reply instanceof HedgerowError) reject(reply);
                  else resolve(fromBinary(method.output, reply));
                }),
              ),
            ),
          );
        });
      },
    };
  }

  /** A request of nobody in particular, whose answer nobody hears. */
  inject(to: Address, method: string, bytes: Uint8Array): void {
    this.#serve(to, method, bytes, 1_000, () => {});
  }

  #travel(from: Address, to: Address, arrive: () => void): void {
    if (this.prng.chance(this.loss) || this.#sides.get(from) !== this.#sides.get(to)) return;
    this.scheduler.after(this.prng.between(MIN_DELAY_MS, MAX_DELAY_MS), arrive);
  }

  #serve(
    to: Address,
    name: string,
    request: Uint8Array,
    timeoutMs: number,
    answer: (reply: Uint8Array | HedgerowError) => void,
  ): void {
    const listener = this.#listeners.get(to);
    if (listener === undefined) return;
    const { machine, routes } = listener;
    machine.arrive(() => {
      const route = routes.get(name) as PeerRoute;
      const { input, output } = route.method as { input: DescMessage; output: DescMessage };
      const work = (async () => route.handle(fromBinary(input, request), { timeoutMs }))();
      work.then(
        (reply) => {
          if (!machine.alive) return;
          const init = reply as Record<string, unknown>;
          answer(this.#count(name, toBinary(output, create(output, init))));
        },
        (error: unknown) => machine.alive && answer(HedgerowError.from(error)),
      );
    });
  }

  #count(method: string, bytes: Uint8Array): Uint8Array {
    this.bytes[method] = (this.bytes[method] ?? 0) + bytes.length;
    return bytes;
  }
}
