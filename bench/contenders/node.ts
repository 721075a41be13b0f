// Whole nodes of ours, as the library starts them: a leader, perhaps another, and the one that calls.
import { join } from "node:path";
import { Hedgerow, type HedgerowNode } from "../../src/index.ts";
import { fill, keysFor, VALUE } from "../keys.ts";
import type { Call } from "../load.ts";
import { roleServer, type Server } from "../pair.ts";
import { freePort, removeFolder, scratchFolder, waitUntil } from "../processes.ts";
import { type Info, playRole } from "../roles.ts";

const JOIN_DEADLINE_MS = 15_000;

/** The nodes that are called: the first one leads. */
export async function startNodes(count: number, core?: number): Promise<Server> {
  const stack = new AsyncDisposableStack();
  try {
    const folder = await scratchFolder();
    stack.defer(() => removeFolder(folder));
    let info: Info = { folder, members: 1 };
    for (let members = 1; members <= count; members++) {
      info = stack.use(await roleServer(import.meta.path, { ...info, members }, core)).info;
    }
    return { info, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Everything else is at its default: mutual TLS, fenced and durable writes. */
async function joined(folder: string, members: number): Promise<HedgerowNode> {
  const node = await Hedgerow.start({
    store: `sqlite:${join(folder, "hedgerow.db")}`,
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
      await fill(info, (each) => node.put(each, VALUE));
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
    server: async ({ folder, members }) => {
      await joined(String(folder), Number(members));
      return { folder: folder ?? "", members: members ?? 1 };
    },
    client: async (info) => {
      const node = await joined(String(info.folder), Number(info.members) + 1);
      if (node.isLeader) throw new Error("the calling node leads: it would call itself");
      return callOf(node, info);
    },
  });
}
