// gRPC's stock client and server for Node: a bidirectional stream without TLS, with the same messages.
import { once } from "node:events";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  Client,
  credentials,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import {
  type StreamToLeaderRequest,
  StreamToLeaderRequestSchema,
  type StreamToLeaderResponse,
  StreamToLeaderResponseSchema,
} from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { playRole } from "../roles.ts";
import { endless, streamLoad } from "./stream-load.ts";

const PATH = "/hedgerow.v1.HedgerowService/StreamToLeader";
/** As grpc-js's own default. */
const BOUNDS = { "grpc.max_receive_message_length": 4 * 1024 * 1024 };

const encodeRequest = (message: StreamToLeaderRequest) =>
  Buffer.from(toBinary(StreamToLeaderRequestSchema, message));
const decodeRequest = (bytes: Buffer) => fromBinary(StreamToLeaderRequestSchema, bytes);
const encodeResponse = (message: StreamToLeaderResponse) =>
  Buffer.from(toBinary(StreamToLeaderResponseSchema, message));
const decodeResponse = (bytes: Buffer) => fromBinary(StreamToLeaderResponseSchema, bytes);

const service: ServiceDefinition = {
  streamToLeader: {
    path: PATH,
    requestStream: true,
    responseStream: true,
    requestSerialize: encodeRequest,
    requestDeserialize: decodeRequest,
    responseSerialize: encodeResponse,
    responseDeserialize: decodeResponse,
  },
};

interface Writable {
  write(message: unknown): boolean;
  once(event: "drain", listener: () => void): unknown;
}

/** Writes as fast as the stream has room. */
async function writeAll(stream: Writable, messages: AsyncIterable<unknown>): Promise<void> {
  for await (const message of messages) {
    if (!stream.write(message)) await once(stream as never, "drain");
  }
}

async function serveGrpc(): Promise<number> {
  const server = new Server(BOUNDS);
  server.addService(service, {
    streamToLeader(call: ServerDuplexStream<StreamToLeaderRequest, StreamToLeaderResponse>) {
      call.on("data", ({ part }: StreamToLeaderRequest) => {
        if (part.case !== "open") return;
        const { bytes, seconds } = part.value.metadata;
        async function* down() {
          for await (const data of endless(Number(bytes), Number(seconds))) {
            yield create(StreamToLeaderResponseSchema, { data });
          }
        }
        void writeAll(call, down()).then(() => call.end());
        asked = true;
      });
      let asked = false;
      call.on("end", () => {
        if (!asked) call.end();
      });
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

await playRole({
  server: async () => ({ port: await serveGrpc() }),
  load: async (server) => {
    const grpc = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure(), BOUNDS);
    const open = () => grpc.makeBidiStreamRequest(PATH, encodeRequest, decodeResponse);
    const ended = (call: ReturnType<typeof open>, onData: () => void) => {
      call.on("data", onData);
      return once(call, "status");
    };
    return streamLoad(
      {
        async down(bytes, seconds, onMessage) {
          const call = open();
          const metadata = { bytes: `${bytes}`, seconds: `${seconds}` };
          call.write(
            create(StreamToLeaderRequestSchema, { part: { case: "open", value: { metadata } } }),
          );
          call.end();
          await ended(call, onMessage);
        },
        async up(messages) {
          const call = open();
          const over = ended(call, () => {});
          async function* parts() {
            for await (const value of messages) {
              yield create(StreamToLeaderRequestSchema, { part: { case: "data", value } });
            }
          }
          await writeAll(call, parts());
          call.end();
          await over;
        },
      },
      server,
    );
  },
});
