import { create, createFileRegistry } from "@bufbuild/protobuf";
import type { GenService } from "@bufbuild/protobuf/codegenv2";
import { FileDescriptorProtoSchema, type FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import {
  type DeliverRequestSchema,
  type DeliverResponseSchema,
  file_hedgerow_v1_peer,
} from "../../../src/gen/hedgerow/v1/peer_pb.ts";

type Method<Kind> = {
  methodKind: Kind;
  input: typeof DeliverRequestSchema;
  output: typeof DeliverResponseSchema;
};

const file: FileDescriptorProto = create(FileDescriptorProtoSchema, {
  name: "test/echo.proto",
  package: "test",
  syntax: "proto3",
  dependency: ["hedgerow/v1/peer.proto"],
  service: [
    {
      name: "Echo",
      method: (["Unary", "Down", "Up", "Both"] as const).map((name) => ({
        name,
        inputType: ".hedgerow.v1.DeliverRequest",
        outputType: ".hedgerow.v1.DeliverResponse",
        serverStreaming: name === "Down" || name === "Both",
        clientStreaming: name === "Up" || name === "Both",
      })),
    },
  ],
});

/** A service with one method of each kind: bytes in, bytes out. */
export const Echo = createFileRegistry(file, () => file_hedgerow_v1_peer).getService(
  "test.Echo",
) as unknown as GenService<{
  unary: Method<"unary">;
  down: Method<"server_streaming">;
  up: Method<"client_streaming">;
  both: Method<"bidi_streaming">;
}>;
