import { join } from "node:path";
import { hedgerowBinary, serveArguments } from "./binary.ts";
import { Cluster, type Member } from "./clusters.ts";
import type { Benchmark, Case, Contender, Target } from "./harness.ts";
import { freePort, removeFolder, requireProgram, scratchFolder } from "./processes.ts";
import { alwaysAtMost } from "./targets.ts";

const NODES = [0, 1, 2];
/** A put that hangs longer than this is given up; others are made meanwhile. */
const ATTEMPT_MS = 2_000;

async function post(url: string, body: object): Promise<Record<string, unknown> | null> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ATTEMPT_MS),
    });
    return response.ok ? ((await response.json()) as Record<string, unknown>) : null;
  } catch {
    return null; // refused, reset or late: not accepted
  }
}

async function hedgerowMembers(folder: string): Promise<Member[]> {
  const binary = await hedgerowBinary();
  const nodes = NODES.map(() => ({
    store: join(folder, "hedgerow.db"),
    peerPort: freePort(),
    httpPort: freePort(),
  }));
  return nodes.map((node) => {
    const api = `http://127.0.0.1:${node.httpPort}/hedgerow.v1.HedgerowService`;
    return {
      command: [binary, ...serveArguments(node), "--lease", "2s"],
      ready: async () => (await post(`${api}/Status`, {})) !== null,
      leader: async () => {
        const status = await post(`${api}/Status`, {});
        const at = nodes.findIndex((each) => `127.0.0.1:${each.peerPort}` === status?.leader);
        return at < 0 ? null : at;
      },
      put: async () => (await post(`${api}/Put`, { key: "k", value: "v" })) !== null,
    };
  });
}

async function etcdMembers(folder: string): Promise<Member[]> {
  requireProgram("etcd", "etcd-server");
  const nodes = NODES.map((number) => ({
    name: `node${number}`,
    client: `http://127.0.0.1:${freePort()}`,
    peer: `http://127.0.0.1:${freePort()}`,
  }));
  const cluster = nodes.map(({ name, peer }) => `${name}=${peer}`).join(",");
  const ids = new Map<unknown, number>();
  return nodes.map(({ name, client, peer }, number) => ({
    command: [
      ["etcd", `--name=${name}`, `--data-dir=${join(folder, name)}`, "--log-level=error"],
      [`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
      [`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
      [`--initial-cluster=${cluster}`],
    ].flat(),
    ready: async () => (await post(`${client}/v3/maintenance/status`, {})) !== null,
    leader: async () => {
      const status = await post(`${client}/v3/maintenance/status`, {});
      const header = status?.header as { member_id?: string } | undefined;
      if (header?.member_id !== undefined) ids.set(header.member_id, number);
      return ids.get(status?.leader) ?? null;
    },
    put: async () => {
      const [key, value] = [btoa("k"), btoa("v")];
      return (await post(`${client}/v3/kv/put`, { key, value })) !== null;
    },
  }));
}

function killed(
  name: string,
  role: Contender["role"],
  signal: "SIGKILL" | "SIGTERM",
  members: (folder: string) => Promise<Member[]>,
): Contender {
  return {
    name,
    role,
    async start() {
      const stack = new AsyncDisposableStack();
      try {
        const folder = await scratchFolder();
        stack.defer(() => removeFolder(folder));
        const cluster = stack.use(await Cluster.start(await members(folder)));
        return {
          measure: async () => ({ ms: await cluster.failOver(signal) }),
          [Symbol.asyncDispose]: () => stack.disposeAsync(),
        };
      } catch (error) {
        await stack.disposeAsync();
        throw error;
      }
    },
  };
}

function failoverCase(title: string, signal: "SIGKILL" | "SIGTERM", target: Target): Case {
  return {
    title,
    metrics: [{ key: "ms", title: "ms", digits: 0 }],
    warmUpSeconds: 0,
    contenders: [
      killed("hedgerow, lease 2 s", "ours", signal, hedgerowMembers),
      killed("etcd, default timeouts", "peer", signal, etcdMembers),
    ],
    targets: [target],
  };
}

export const benchmark: Benchmark = {
  summary:
    "three processes: longest time without an accepted put, from the signal to the leader on",
  cases: [
    failoverCase("SIGKILL", "SIGKILL", alwaysAtMost("hedgerow, lease 2 s", 3_500, "ms")),
    failoverCase("SIGTERM", "SIGTERM", alwaysAtMost("hedgerow, lease 2 s", 1_000, "ms")),
  ],
};
