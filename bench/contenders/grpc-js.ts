// gRPC's stock client and server for Node, without TLS, with the same messages.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  Client,
  credentials,
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import {
  type DeliverRequest,
  DeliverRequestSchema,
  type DeliverResponse,
  DeliverResponseSchema,
} from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { playRole } from "../roles.ts";

const PATH = "/hedgerow.v1.PeerService/Deliver";

const encodeRequest = (message: DeliverRequest) =>
  Buffer.from(toBinary(DeliverRequestSchema, message));
const decodeRequest = (bytes: Buffer) => fromBinary(DeliverRequestSchema, bytes);
const encodeResponse = (message: DeliverResponse) =>
  Buffer.from(toBinary(DeliverResponseSchema, message));
const decodeResponse = (bytes: Buffer) => fromBinary(DeliverResponseSchema, bytes);

const service: ServiceDefinition = {
  deliver: {
    path: PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: encodeRequest,
    requestDeserialize: decodeRequest,
    responseSerialize: encodeResponse,
    responseDeserialize: decodeResponse,
  },
};

const deliver: handleUnaryCall<DeliverRequest, DeliverResponse> = (call, reply) =>
  reply(null, create(DeliverResponseSchema, { data: call.request.data }));

async function serveGrpc(): Promise<number> {
  const server = new Server();
  server.addService(service, { deliver });
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

/** A client that calls Deliver with this many bytes. */
function connectGrpc(port: number, bytes: number): () => Promise<unknown> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const request = create(DeliverRequestSchema, { data: new Uint8Array(bytes) });
  return () =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(PATH, encodeRequest, decodeResponse, request, (error, response) => {
        if (error === null) resolve(response);
        else reject(error);
      });
    });
}

if (import.meta.main) {
  await playRole({
    server: async () => ({ port: await serveGrpc() }),
    client: async ({ port, first, second }) => {
      if (port !== undefined) return connectGrpc(Number(port), 64);
      const servers = [first, second].map((each) => connectGrpc(Number(each), 64));
      return () => Promise.all(servers.map((server) => server()));
    },
  });
}
