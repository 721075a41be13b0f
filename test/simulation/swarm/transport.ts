import { type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import { HedgerowError } from "../../../src/errors.ts";
import type { Address, PeerRoute, Peers } from "../../../src/rpc/port.ts";
import type { Machine } from "../world/machine.ts";
import type { Prng } from "../world/prng.ts";
import type { Scheduler } from "../world/scheduler.ts";
import { Codec, type Parcel } from "./codec.ts";

/** One way, milliseconds: machines of one data centre. */
const MIN_DELAY_MS = 0.2;
const MAX_DELAY_MS = 2;

interface Listener {
  readonly machine: Machine;
  readonly routes: ReadonlyMap<string, PeerRoute>;
}

/**
 * A network for a thousand nodes: the real codec, delay, loss and partitions, and the bytes counted. A crashed
 * machine is silent, as one whose power is gone: nothing refuses connections on its behalf.
 */
export class Transport {
  loss = 0;
  /** Sees every request that is encoded. */
  onRequest: (to: Address, method: string, bytes: Uint8Array) => void = () => {};
  /** Payload bytes of requests and replies that were encoded, by method. */
  readonly bytes: Record<string, number> = {};
  /** Nodes of different sides do not hear each other. */
  readonly #sides = new Map<Address, number>();
  readonly #listeners = new Map<Address, Listener>();
  readonly #codec: Codec;

  constructor(
    private readonly scheduler: Scheduler,
    private readonly prng: Prng,
    codecEvery: number,
  ) {
    this.#codec = new Codec(codecEvery);
  }

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

  peersOf(self: Address, machine: Machine): Peers {
    return {
      forget() {},
      stream: () =>
        Promise.reject(new HedgerowError("not_supported", "members gossip without streams")),
      unary: (to, method, init, { timeoutMs = 10_000 } = {}) => {
        const request = this.#pack(method.name, method.input, init);
        if (request.bytes !== null) this.onRequest(to, method.name, request.bytes);
        return new Promise((resolve, reject) => {
          const timer = machine.schedule(timeoutMs, () =>
            reject(new HedgerowError("timeout", `${method.name}: no reply from ${to}`)),
          );
          this.#travel(self, to, () =>
            this.#serve(to, method.name, request.open, timeoutMs, (reply) =>
              this.#travel(to, self, () =>
                machine.arrive(() => {
                  timer.cancel();
                  if (reply instanceof HedgerowError) reject(reply);
                  else resolve(reply.open() as never);
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
    const open = (input: DescMessage) => fromBinary(input, bytes);
    this.#serve(to, method, open, 1_000, () => {});
  }

  #travel(from: Address, to: Address, arrive: () => void): void {
    if (this.prng.chance(this.loss) || this.#sides.get(from) !== this.#sides.get(to)) return;
    this.scheduler.after(this.prng.between(MIN_DELAY_MS, MAX_DELAY_MS), arrive);
  }

  #serve(
    to: Address,
    name: string,
    open: (input: DescMessage) => Message,
    timeoutMs: number,
    answer: (reply: Parcel | HedgerowError) => void,
  ): void {
    const listener = this.#listeners.get(to);
    if (listener === undefined) return;
    const { machine, routes } = listener;
    machine.arrive(() => {
      const route = routes.get(name) as PeerRoute;
      const { input, output } = route.method as { input: DescMessage; output: DescMessage };
      const work = (async () => route.handle(open(input), { timeoutMs }))();
      work.then(
        (reply) => {
          if (!machine.alive) return;
          answer(this.#pack(name, output, reply as object));
        },
        (error: unknown) => machine.alive && answer(HedgerowError.from(error)),
      );
    });
  }

  #pack(method: string, schema: DescMessage, init: object): Parcel {
    const parcel = this.#codec.pack(schema, init);
    this.bytes[method] = (this.bytes[method] ?? 0) + (parcel.bytes?.length ?? 0);
    return parcel;
  }
}
