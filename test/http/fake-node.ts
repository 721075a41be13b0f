import { HedgerowError } from "../../src/errors.ts";
import type * as api from "../../src/node/api.ts";
import type { StoredEntry } from "../../src/store/ports.ts";

/** A node that keeps its log in memory; any method can be replaced. */
export function fakeNode(replaced: Partial<api.HedgerowNode> = {}): api.HedgerowNode {
  const entries: StoredEntry[] = [];
  const self = "10.0.0.1:8080";
  const member = (address: string, suspect = false): api.MemberInfo => ({
    name: address,
    address,
    incarnation: 1_763_688_845_123,
    state: "participant",
    suspect,
  });
  const members = [member(self), member("10.0.0.2:8080", true)];
  const reply = (kind: string, data: api.Bytes) => Buffer.from(`${kind} ${textOf(data)}`);
  const node: api.HedgerowNode = {
    name: self,
    address: self,
    isLeader: true,
    leader: self,
    token: "1735787045123456",
    state: "participant",
    running: true,
    async put(key, value, options = {}) {
      if (options.id === "taken") throw new HedgerowError("conflict", "id taken has another value");
      const id = options.noAppend ? "-" : (options.id ?? `id-${entries.length}`);
      const timestamp = 1_735_787_045_123_456 + entries.length;
      entries.unshift({ key, value, id, timestamp, leader: self });
      return { id, timestamp };
    },
    async get(key, { limit = 0 } = {}) {
      const found = entries.filter((entry) => entry.key === key);
      return limit === -1 ? found : found.slice(0, Math.max(1, limit));
    },
    async *watch(key, { fromId = "" } = {}) {
      const versions = entries.filter((entry) => entry.key === key).reverse();
      yield* versions.slice(versions.findIndex(({ id }) => id === fromId) + 1);
    },
    send: async (data) => reply("sent", data),
    sendToLeader: async (data) => reply("reliably sent", data),
    broadcast: async (data) =>
      members.map(({ address }) => ({ node: address, data: reply(address, data) })),
    async *broadcastStream(data) {
      for (const { address } of members) yield { node: address, data: reply(address, data) };
    },
    async *streamToLeader(input) {
      for await (const data of input) yield reply("streamed", data);
    },
    async *streamBroadcast(input) {
      for await (const data of input) {
        for (const { address } of members) yield { node: address, data: reply(address, data) };
      }
    },
    lock: () => {
      throw new HedgerowError("not_supported", "locks are not faked");
    },
    semaphore: () => {
      throw new HedgerowError("not_supported", "semaphores are not faked");
    },
    spill: () => {
      throw new HedgerowError("not_supported", "spill stores are not faked");
    },
    findSpill: () => {
      throw new HedgerowError("not_supported", "spill stores are not faked");
    },
    spillStores: () => [],
    members: () => members,
    observe: () => () => {},
    handler: () => ({ route: "/hedgerow/peer/*", fetch: () => new Response() }),
    get sharder(): never {
      throw new HedgerowError("not_supported", "sharders are not faked");
    },
    join: async () => {},
    changeState: async () => {},
    status: () => ({
      node: self,
      name: self,
      leader: self,
      isLeader: true,
      token: node.token,
      members,
      leaseMs: 30_000,
      iterations: 1,
    }),
    metrics: async () =>
      "# HELP hedgerow_faked Faked.\n# TYPE hedgerow_faked gauge\nhedgerow_faked 1\n",
    ready: async () => {},
    stop: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  return Object.assign(node, replaced);
}

function textOf(data: api.Bytes): string {
  return typeof data === "string" ? data : Buffer.from(data).toString();
}
