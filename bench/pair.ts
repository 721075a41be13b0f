import type { Contender, Metric, Running } from "./harness.ts";
import { Histogram } from "./histogram.ts";
import type { Load } from "./load.ts";
import { type Info, RoleProcess } from "./roles.ts";

/** What a server is to its clients. */
export interface Server extends AsyncDisposable {
  readonly info: Info;
}

export interface Pair {
  readonly name: string;
  readonly role: Contender["role"];
  /** The file whose `client` role makes the calls. */
  readonly client: string;
  readonly server: () => Promise<Server>;
  /** Told to the clients beside what the server says. */
  readonly options?: Info;
  /** Over all client processes. */
  readonly callers: number;
  /** Client processes. Default 1. */
  readonly clients?: number;
  /** Binds the clients to one core. The server's binding is its own. */
  readonly core?: number | undefined;
}

export const THROUGHPUT: readonly Metric[] = [
  { key: "perSecond", title: "calls/s", digits: 0 },
  { key: "p50Ms", title: "p50 ms", digits: 3 },
  { key: "p99Ms", title: "p99 ms", digits: 3 },
];

/** A server that a file of ours is, in its `server` role. */
export async function roleServer(script: string, options: Info = {}, core?: number) {
  const { process, info } = await RoleProcess.server(script, options, core);
  return { info, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}

/** Two servers of the same kind, as `first` and `second`. */
export async function twoServers(script: string): Promise<Server> {
  const stack = new AsyncDisposableStack();
  try {
    const [first, second] = [
      stack.use(await roleServer(script)),
      stack.use(await roleServer(script)),
    ];
    return {
      info: { first: first.info.port ?? 0, second: second.info.port ?? 0 },
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** A server in one process and its clients in others, under a closed loop of calls. */
export function pair(options: Pair): Contender {
  return {
    name: options.name,
    role: options.role,
    async start(): Promise<Running> {
      const stack = new AsyncDisposableStack();
      try {
        const server = stack.use(await options.server());
        const clients: RoleProcess[] = [];
        const count = options.clients ?? 1;
        for (let client = 0; client < count; client++) {
          const info = { ...options.options, ...server.info, client, clients: count };
          clients.push(stack.use(await RoleProcess.client(options.client, info, options.core)));
        }
        const callers = options.callers / count;
        return {
          async measure(seconds) {
            const loads = clients.map((client) => client.load({ callers, seconds }));
            return throughput(await Promise.all(loads));
          },
          [Symbol.asyncDispose]: () => stack.disposeAsync(),
        };
      } catch (error) {
        await stack.disposeAsync();
        throw error;
      }
    },
  };
}

function throughput(loads: readonly Load[]) {
  const latencies = new Histogram();
  for (const load of loads) latencies.add(load.latencies);
  return {
    perSecond: loads.reduce((sum, load) => sum + load.calls / (load.elapsedMs / 1000), 0),
    p50Ms: latencies.quantile(0.5),
    p99Ms: latencies.quantile(0.99),
  };
}
