import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { HedgerowError } from "../../../src/errors.ts";
import type { Address, PeerRoute, Peers, StreamRoute } from "../../../src/rpc/port.ts";
import type { Machine } from "./machine.ts";
import type { Prng } from "./prng.ts";
import type { Scheduler } from "./scheduler.ts";
import { StreamConnection, type StreamEnd, type Wire } from "./stream-connection.ts";
import type { Trace } from "./trace.ts";

const DEFAULT_TIMEOUT_MS = 10_000;

interface Process extends StreamEnd {
  readonly routes: ReadonlyMap<string, PeerRoute>;
}

/** How the network misbehaves; all may change at any time. */
export interface NetworkFaults {
  /** Milliseconds one way. */
  minDelayMs: number;
  maxDelayMs: number;
  /** Probability that a message is lost without a trace. */
  loss: number;
  /** Probability that a request is delivered twice. */
  duplication: number;
}

/** Messages between processes, encoded by the real codec. Delays differ, so messages overtake each other. */
export class Network {
  readonly faults: NetworkFaults = { minDelayMs: 0.1, maxDelayMs: 2, loss: 0, duplication: 0 };
  readonly #processes = new Map<Address, Process>();
  readonly #cut = new Set<string>();

  constructor(
    private readonly scheduler: Scheduler,
    private readonly prng: Prng,
    private readonly trace: Trace,
  ) {}

  listen(
    address: Address,
    machine: Machine,
    routes: readonly PeerRoute[],
    streamRoutes: readonly StreamRoute[] = [],
  ): void {
    this.#processes.set(address, {
      address,
      machine,
      routes: new Map(routes.map((route) => [nameOf(route.method), route])),
      streamRoutes: new Map(streamRoutes.map((route) => [route.kind.name, route])),
    });
  }

  /** Nobody listens there any more: calls are refused. */
  close(address: Address): void {
    this.#processes.delete(address);
  }

  /** Silently drops what `from` sends to `to`; one way. */
  cut(from: Address, to: Address): void {
    this.#cut.add(`${from}>${to}`);
  }

  healAll(): void {
    this.#cut.clear();
    Object.assign(this.faults, { minDelayMs: 0.1, maxDelayMs: 2, loss: 0, duplication: 0 });
  }

  /** The network as one process sees it. */
  peersOf(self: Address, machine: Machine): Peers {
    const heardAt = new Map<Address, number>();
    const connections = new Map<Address, StreamConnection>();
    return {
      forget: (address) => {
        heardAt.delete(address);
        connections
          .get(address)
          ?.link.close(new HedgerowError("outcome_unknown", `${address} is no longer a member`));
      },
      stream: async (to, kind, opening, input, options) => {
        let connection = connections.get(to);
        if (connection === undefined || connection.link.ended) {
          connection = new StreamConnection(this.#wire, { address: self, machine }, to);
          connections.set(to, connection);
        }
        return connection.link.open(kind, opening, input, options);
      },
      heardAt: (address) => heardAt.get(address),
      unary: (to, method, init, options = {}) => {
        const bytes = toBinary(method.input, create(method.input, init));
        const name = nameOf(method);
        const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
        return new Promise((resolve, reject) => {
          let open = true;
          const end = (settle: () => void) => {
            if (!open) return;
            open = false;
            timer.cancel();
            options.signal?.removeEventListener("abort", abort);
            settle();
          };
          const fail = (error: HedgerowError) => machine.arrive(() => end(() => reject(error)));
          const abort = () => {
            const given: unknown = options.signal?.reason;
            const canceled = new HedgerowError("canceled", `${name}: cancelled by the caller`);
            end(() => reject(given instanceof HedgerowError ? given : canceled));
          };
          const timer = machine.schedule(timeoutMs, () =>
            end(() => reject(new HedgerowError("timeout", `${name}: no reply from ${to}`))),
          );
          options.signal?.addEventListener("abort", abort, { once: true });
          if (options.signal?.aborted) return abort();
          let answered = false;
          const deliver = (again: boolean) =>
            this.#travel(self, to, name, () => {
              // Whoever sends a request twice (a proxy, say) does so while there is no answer to the first.
              if (again && answered) return;
              this.#serve(to, name, bytes, timeoutMs, {
                reply: (reply) => {
                  answered = true;
                  this.#travel(to, self, `${name} reply`, () =>
                    machine.arrive(() =>
                      end(() => {
                        heardAt.set(to, machine.now());
                        resolve(fromBinary(method.output, reply));
                      }),
                    ),
                  );
                },
                error: (error) => {
                  answered = true;
                  this.#travel(to, self, `${name} error`, () => fail(error));
                },
              });
            });
          deliver(false);
          if (this.prng.chance(this.faults.duplication)) deliver(true);
        });
      },
    };
  }

  readonly #wire: Wire = {
    after: (ms, run) => void this.scheduler.after(ms, run),
    delayMs: () => this.prng.between(this.faults.minDelayMs, this.faults.maxDelayMs),
    blocked: (from, to) =>
      from !== to && (this.prng.chance(this.faults.loss) || this.#cut.has(`${from}>${to}`)),
    listener: (address) => {
      const process = this.#processes.get(address);
      return process?.machine.alive === true ? process : undefined;
    },
  };

  #travel(from: Address, to: Address, what: string, arrive: () => void): void {
    const lost = this.prng.chance(this.faults.loss) || this.#cut.has(`${from}>${to}`);
    const delayMs = this.prng.between(this.faults.minDelayMs, this.faults.maxDelayMs);
    this.scheduler.after(from === to ? 0 : delayMs, () => {
      if (lost && from !== to) return;
      this.trace.add(this.scheduler.now, `${from} > ${to} ${what}`);
      arrive();
    });
  }

  #serve(
    to: Address,
    name: string,
    bytes: Uint8Array,
    timeoutMs: number,
    answer: { reply: (bytes: Uint8Array) => void; error: (error: HedgerowError) => void },
  ): void {
    const process = this.#processes.get(to);
    if (process === undefined || !process.machine.alive) {
      answer.error(new HedgerowError("unavailable", `${to} refused the connection`));
      return;
    }
    const { machine, routes } = process;
    machine.arrive(() => {
      const route = routes.get(name);
      if (route === undefined) {
        answer.error(new HedgerowError("not_found", name));
        return;
      }
      const { input, output } = route.method as { input: DescMessage; output: DescMessage };
      const work = (async () => route.handle(fromBinary(input, bytes), { timeoutMs }))();
      work.then(
        (reply) =>
          machine.alive &&
          answer.reply(toBinary(output, create(output, reply as Record<string, unknown>))),
        (error: unknown) => machine.alive && answer.error(HedgerowError.from(error)),
      );
    });
  }
}

function nameOf(method: { readonly name: string; readonly parent: { readonly typeName: string } }) {
  return `${method.parent.typeName}/${method.name}`;
}
