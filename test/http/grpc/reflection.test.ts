import { expect, test } from "bun:test";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import * as v1 from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import * as v1alpha from "../../../src/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { GrpcKit } from "./grpc-kit.ts";

type Question = v1.ServerReflectionRequest["messageRequest"];

const VERSIONS = {
  v1: v1.ServerReflection,
  v1alpha: v1alpha.ServerReflection as unknown as typeof v1.ServerReflection,
};

/** The answers to questions that are sent in one stream. */
async function ask(service: typeof v1.ServerReflection, ...questions: Question[]) {
  await using kit = await GrpcKit.serving();
  const requests = async function* () {
    for (const messageRequest of questions) yield { messageRequest };
  };
  const answers = await Array.fromAsync(kit.client(service).serverReflectionInfo(requests()));
  return answers.map(({ messageResponse }) => messageResponse);
}

function filesOf(answer: v1.ServerReflectionResponse["messageResponse"] | undefined): string[] {
  if (answer?.case !== "fileDescriptorResponse") throw new Error(`no files: ${answer?.case}`);
  return answer.value.fileDescriptorProto.map(
    (bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name,
  );
}

const HEDGEROW_FILES = [
  "hedgerow/v1/hedgerow.proto",
  "google/protobuf/duration.proto",
  "google/protobuf/timestamp.proto",
];

test.each(Object.entries(VERSIONS))("%s lists the services", async (_, service) => {
  const [answer] = await ask(service, { case: "listServices", value: "" });
  if (answer?.case !== "listServicesResponse") throw new Error(`no list: ${answer?.case}`);
  expect(answer.value.service.map(({ name }) => name)).toEqual([
    "hedgerow.v1.HedgerowService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ]);
});

test.each([
  "hedgerow.v1.HedgerowService",
  "hedgerow.v1.HedgerowService.Put",
  "hedgerow.v1.PutRequest",
  "hedgerow.v1.PutRequest.value",
  "hedgerow.v1.BroadcastResponse.outcome",
])("%s is found, in a file with all that it needs", async (symbol) => {
  for (const service of Object.values(VERSIONS)) {
    const [answer] = await ask(service, { case: "fileContainingSymbol", value: symbol });
    expect(filesOf(answer)).toEqual(HEDGEROW_FILES);
  }
});

test("values of an enum stand beside it", async () => {
  const nested = "grpc.health.v1.HealthCheckResponse.SERVING";
  const [answer] = await ask(v1.ServerReflection, { case: "fileContainingSymbol", value: nested });
  expect(filesOf(answer)).toEqual(["grpc/health/v1/health.proto"]);
});

test("files by their names, several in one stream", async () => {
  const named = (value: string): Question => ({ case: "fileByFilename", value });
  const answers = await ask(v1.ServerReflection, ...HEDGEROW_FILES.map(named));
  expect(answers.map((answer) => filesOf(answer)[0])).toEqual(HEDGEROW_FILES);
});

test("what is not there is told, and the stream goes on", async () => {
  const answers = await ask(
    v1.ServerReflection,
    { case: "fileByFilename", value: "no/such.proto" },
    { case: "fileContainingSymbol", value: "no.Such" },
    {
      case: "fileContainingExtension",
      value: {
        $typeName: "grpc.reflection.v1.ExtensionRequest",
        containingType: "hedgerow.v1.Entry",
        extensionNumber: 7,
      },
    },
    { case: "allExtensionNumbersOfType", value: "no.Such" },
    { case: undefined },
    { case: "allExtensionNumbersOfType", value: "hedgerow.v1.Entry" },
  );
  const codes = answers.map((answer) =>
    answer.case === "errorResponse" ? answer.value.errorCode : answer.case,
  );
  const { NotFound, InvalidArgument } = Code;
  expect(codes).toEqual([
    ...[NotFound, NotFound, NotFound, NotFound, InvalidArgument],
    "allExtensionNumbersResponse",
  ]);
});
