// etcd's own lock service, over its gRPC API: it queues waiters itself, and tells the next by its watch.
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { handOver, type Take } from "../hand-over.ts";
import { playRole } from "../roles.ts";
import { connectGrpcClient } from "./grpc-client.ts";

const LEASE_SECONDS = 3600;
/** Numbers of protobuf's wire types. */
const VARINT = 0;
const BYTES = 2;

/** The field of that number in a message; undefined if it has none. */
function field(message: Uint8Array, wanted: number): Uint8Array | bigint | undefined {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === wanted) return wireType === BYTES ? reader.bytes() : BigInt(reader.int64());
    reader.skip(wireType, number);
  }
  return undefined;
}

async function connectLock(port: number): Promise<Take> {
  const grant = await connectGrpcClient(port, "/etcdserverpb.Lease/LeaseGrant");
  const lock = await connectGrpcClient(port, "/v3lockpb.Lock/Lock");
  const unlock = await connectGrpcClient(port, "/v3lockpb.Lock/Unlock");
  const granted = await grant(new BinaryWriter().tag(1, VARINT).int64(LEASE_SECONDS).finish());
  const lease = field(granted, 2);
  if (typeof lease !== "bigint") throw new Error("etcd granted no lease");
  return async (name) => {
    const request = new BinaryWriter().tag(1, BYTES).bytes(Buffer.from(name));
    const key = field(await lock(request.tag(2, VARINT).int64(lease).finish()), 2);
    if (!(key instanceof Uint8Array)) throw new Error("etcd granted no lock");
    return () => unlock(new BinaryWriter().tag(1, BYTES).bytes(key).finish());
  };
}

if (import.meta.main) {
  await playRole({
    load: async (info) => handOver(await connectLock(Number(info.port)), info),
  });
}
