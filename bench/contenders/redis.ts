// Redis, one node, every write synced before it is acknowledged, over Bun's own pipelining client.
import { RedisClient } from "bun";
import { fill, keysFor, VALUE } from "../keys.ts";
import type { Server } from "../pair.ts";
import {
  accepts,
  endProcess,
  freePort,
  removeFolder,
  requireProgram,
  scratchFolder,
  startProgram,
} from "../processes.ts";
import { playRole } from "../roles.ts";

export async function startRedis(): Promise<Server> {
  requireProgram("redis-server", "redis-server");
  const folder = await scratchFolder();
  const port = freePort();
  const command = [
    ["redis-server", "--bind", "127.0.0.1", "--port", String(port), "--dir", folder],
    ["--appendonly", "yes", "--appendfsync", "always", "--save", ""],
  ].flat();
  const child = await startProgram(command, { ready: () => accepts(port) });
  return {
    info: { port },
    async [Symbol.asyncDispose]() {
      await endProcess(child);
      await removeFolder(folder);
    },
  };
}

if (import.meta.main) {
  await playRole({
    client: async (info) => {
      const redis = new RedisClient(`redis://127.0.0.1:${info.port}`);
      await redis.connect();
      const key = keysFor(info);
      if (!info.reads) return (n) => redis.set(key(n), VALUE);
      await fill(info, (each) => redis.set(each, VALUE));
      return (n) => redis.get(key(n));
    },
  });
}
