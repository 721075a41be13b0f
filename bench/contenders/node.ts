// Whole nodes of ours, as the library starts them: a leader, perhaps another, and the one that calls.
import { join } from "node:path";
import { Hedgerow, type HedgerowNode } from "../../src/index.ts";
import { fill, keysFor, VALUE } from "../keys.ts";
import type { Call } from "../load.ts";
import { roleServer, type Server } from "../pair.ts";
import { freePort, removeFolder, scratchFolder, waitUntil } from "../processes.ts";
import { type Info, playRole } from "../roles.ts";

const JOIN_DEADLINE_MS = 15_000;

/** What nodes are told of their store. */
export interface NodeStore extends Info {
  /** As `--store` names it. */
  readonly store: string;
  /** `host:port` of the Spanner emulator that it is in; empty for none. */
  readonly emulator: string;
}

/**
 * The nodes that are called, on a new file of SQLite unless a store is given: the first one leads. Without
 * any, the node that calls leads.
 */
export async function startNodes(count: number, core?: number, store?: NodeStore): Promise<Server> {
  const stack = new AsyncDisposableStack();
  try {
    let info: Info = { ...(store ?? (await newFile(stack))), members: 0 };
    for (let members = 1; members <= count; members++) {
      info = stack.use(await roleServer(import.meta.path, { ...info, members }, core)).info;
    }
    return { info, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function newFile(stack: AsyncDisposableStack): Promise<NodeStore> {
  const folder = await scratchFolder();
  stack.defer(() => removeFolder(folder));
  return { store: `sqlite:${join(folder, "hedgerow.db")}`, emulator: "" };
}

/** Everything else is at its default: mutual TLS, fenced and durable writes. */
export async function joined({ store, emulator }: Info, members: number): Promise<HedgerowNode> {
  process.env.SPANNER_EMULATOR_HOST = String(emulator);
  const node = await Hedgerow.start({
    store: String(store),
    address: `127.0.0.1:${freePort()}`,
    onSend: (data) => data,
    onBroadcast: (data) => data,
  });
  await waitUntil(`${members} members and a leader`, JOIN_DEADLINE_MS, () => {
    return node.leader !== null && node.members().length === members;
  });
  return node;
}

async function callOf(node: HedgerowNode, info: Info): Promise<Call> {
  const data = new Uint8Array(64);
  const key = keysFor(info);
  switch (info.call) {
    case "put":
      return (n) => node.put(key(n), VALUE);
    case "get":
      if (info.filled !== true) await fill(info, (each) => node.put(each, VALUE));
      return (n) => node.get(key(n));
    case "send":
      return () => node.send(data);
    case "broadcast":
      return () => node.broadcast(data, { skipSelf: true });
    default:
      throw new Error(`no such call: ${info.call}`);
  }
}

if (import.meta.main) {
  await playRole({
    server: async (info) => {
      await joined(info, Number(info.members));
      return info;
    },
    client: async (info) => {
      const node = await joined(info, Number(info.members) + 1);
      if (node.isLeader !== (info.members === 0)) throw new Error("another node leads than meant");
      return callOf(node, info);
    },
  });
}
