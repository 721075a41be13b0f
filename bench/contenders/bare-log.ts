// The limit of a durable put: a file that is only appended to, synced once per group of writes, behind
// the same RPC as ours.
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { PeerService } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { serve } from "../../src/rpc/port.ts";
import { keysFor, VALUE } from "../keys.ts";
import { roleServer, type Server } from "../pair.ts";
import { removeFolder, scratchFolder } from "../processes.ts";
import { playRole } from "../roles.ts";
import { peersFrom, servePeers } from "./peers.ts";

/** A server whose log is removed with it. */
export async function startBareLog(): Promise<Server> {
  const folder = await scratchFolder();
  const server = await roleServer(import.meta.path, { folder });
  return {
    info: server.info,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await removeFolder(folder);
    },
  };
}

/** Resolves each write once it is on the disk; writes of the same turn share one sync. */
class GroupLog {
  readonly #file: number;
  #group: { readonly record: string; readonly done: () => void }[] = [];

  constructor(path: string) {
    this.#file = openSync(path, "a");
    process.on("exit", () => closeSync(this.#file));
  }

  append(record: string): Promise<void> {
    return new Promise((done) => {
      this.#group.push({ record, done });
      if (this.#group.length === 1) setImmediate(this.#commit);
    });
  }

  readonly #commit = (): void => {
    const group = this.#group;
    this.#group = [];
    writeSync(this.#file, group.map(({ record }) => record).join(""));
    fdatasyncSync(this.#file);
    for (const { done } of group) done();
  };
}

const { append } = PeerService.method;

if (import.meta.main) {
  await playRole({
    server: async ({ folder }) => {
      const log = new GroupLog(join(String(folder), "log"));
      const put = async ({ key, value, id }: { key: string; value: string; id: string }) => {
        await log.append(`${key} ${id} ${value}\n`);
        return { timestamp: Date.now() * 1000 };
      };
      return servePeers([serve(append, put)], true, [append]);
    },
    client: async (server) => {
      const peers = peersFrom(server, [append]);
      const key = keysFor(server);
      return (n) =>
        peers.unary(`127.0.0.1:${server.port}`, append, { key: key(n), value: VALUE, id: `${n}` });
    },
  });
}
