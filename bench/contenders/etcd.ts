// Debian's etcd, one node, over its gRPC API. Replies are not decoded,
// which is in etcd's favour.
import { create, toBinary } from "@bufbuild/protobuf";
import { AppendRequestSchema, DeliverRequestSchema } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { fill, keysFor, VALUE } from "../keys.ts";
import type { Server } from "../pair.ts";
import {
  endProcess,
  freePort,
  removeFolder,
  requireProgram,
  scratchFolder,
  startProgram,
} from "../processes.ts";
import { playRole } from "../roles.ts";
import { connectGrpcClient } from "./grpc-client.ts";

export async function startEtcd(): Promise<Server> {
  requireProgram("etcd", "etcd-server");
  const folder = await scratchFolder();
  const port = freePort();
  const client = `http://127.0.0.1:${port}`;
  const peer = `http://127.0.0.1:${freePort()}`;
  const command = [
    ["etcd", "--name=bench", `--data-dir=${folder}`, "--log-level=error"],
    [`--listen-client-urls=${client}`, `--advertise-client-urls=${client}`],
    [`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
    [`--initial-cluster=bench=${peer}`],
  ].flat();
  const child = await startProgram(command, {
    ready: async () => {
      const health = await fetch(`${client}/health`).catch(() => null);
      return health?.ok === true && (await health.text()).includes("true");
    },
  });
  return {
    info: { port },
    async [Symbol.asyncDispose]() {
      await endProcess(child);
      await removeFolder(folder);
    },
  };
}

// etcd's PutRequest begins with key = 1 and value = 2, as our AppendRequest does, and its RangeRequest
// with key = 1, as our DeliverRequest does: the bytes on the wire are the same.
async function connectPut(port: number): Promise<(key: string) => Promise<Uint8Array>> {
  const call = await connectGrpcClient(port, "/etcdserverpb.KV/Put");
  return (key) => {
    const request = create(AppendRequestSchema, { key, value: VALUE });
    return call(toBinary(AppendRequestSchema, request));
  };
}

/** Linearizable, as etcd's default is. */
async function connectGet(port: number): Promise<(key: string) => Promise<Uint8Array>> {
  const call = await connectGrpcClient(port, "/etcdserverpb.KV/Range");
  return (key) => {
    const request = create(DeliverRequestSchema, { data: Buffer.from(key) });
    return call(toBinary(DeliverRequestSchema, request));
  };
}

if (import.meta.main) {
  await playRole({
    client: async (info) => {
      const port = Number(info.port);
      const key = keysFor(info);
      const put = await connectPut(port);
      if (!info.reads) return (n) => put(key(n));
      await fill(info, put);
      const get = await connectGet(port);
      return (n) => get(key(n));
    },
  });
}
