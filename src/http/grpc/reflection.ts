import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import * as v1 from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import * as v1alpha from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { StreamGate } from "../admission.ts";
import { clientAddressOf } from "../client-address.ts";

// github.com/grpc/grpc/blob/master/doc/server-reflection.md. The two versions differ in their names alone.

type Request = v1.ServerReflectionRequest | v1alpha.ServerReflectionRequest;
type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array<ArrayBuffer>[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "errorResponse"; value: { errorCode: Code; errorMessage: string } };

/** Lets tools such as `buf curl` and grpcurl ask what these services, and reflection itself, are made of. */
export function registerReflection(
  router: ConnectRouter,
  services: readonly DescService[],
  gate: StreamGate,
): void {
  const own = [v1.ServerReflection, v1alpha.ServerReflection];
  const known = new KnownTypes([...services, ...own]);
  const answer = <R extends Request>(requests: AsyncIterable<R>, context: HandlerContext) =>
    gate.run(clientAddressOf(context), () => answersTo(requests, known));
  router.service(v1.ServerReflection, { serverReflectionInfo: answer });
  router.service(v1alpha.ServerReflection, { serverReflectionInfo: answer });
}

async function* answersTo<R extends Request>(requests: AsyncIterable<R>, known: KnownTypes) {
  for await (const request of requests) yield answerTo(request, known);
}

function answerTo<R extends Request>(originalRequest: R, known: KnownTypes) {
  const { host: validHost, messageRequest } = originalRequest;
  return { validHost, originalRequest, messageResponse: respond(messageRequest, known) };
}

function respond({ case: asked, value }: Request["messageRequest"], known: KnownTypes): Answer {
  switch (asked) {
    case "fileByFilename":
      return files(known.fileNamed(value), value);
    case "fileContainingSymbol":
      return files(known.fileWith(value), value);
    case "fileContainingExtension":
      return notFound(`extension ${value.extensionNumber} of ${value.containingType}`);
    case "allExtensionNumbersOfType":
      if (known.fileWith(value) === undefined) return notFound(value);
      return { case: "allExtensionNumbersResponse", value: { baseTypeName: value } };
    case "listServices":
      return { case: "listServicesResponse", value: { service: known.services } };
    default:
      return failed(Code.InvalidArgument, "the request asks nothing that this server knows of");
  }
}

function files(file: DescFile | undefined, name: string): Answer {
  if (file === undefined) return notFound(name);
  const fileDescriptorProto = withDependencies(file).map(({ proto }) =>
    toBinary(FileDescriptorProtoSchema, proto),
  );
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

function notFound(what: string): Answer {
  return failed(Code.NotFound, `${what} is not known here`);
}

function failed(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

/** The file first, each once. */
function withDependencies(file: DescFile): DescFile[] {
  const all = new Set([file]);
  // A set hands out what is added while it is walked.
  for (const next of all) for (const dependency of next.dependencies) all.add(dependency);
  return [...all];
}

class KnownTypes {
  readonly services: { name: string }[];
  readonly #byName = new Map<string, DescFile>();
  readonly #bySymbol = new Map<string, DescFile>();

  constructor(services: readonly DescService[]) {
    this.services = services.map(({ typeName }) => ({ name: typeName }));
    for (const file of new Set(services.flatMap((service) => withDependencies(service.file)))) {
      this.#byName.set(file.proto.name, file);
      for (const symbol of symbolsOf(file)) this.#bySymbol.set(symbol, file);
    }
  }

  /** As in `hedgerow/v1/hedgerow.proto`. */
  fileNamed(name: string): DescFile | undefined {
    return this.#byName.get(name);
  }

  fileWith(symbol: string): DescFile | undefined {
    return this.#bySymbol.get(symbol);
  }
}

/** Full names of all that a file declares. */
function* symbolsOf(file: DescFile): Generator<string> {
  for (const type of nestedTypes(file)) {
    yield type.typeName;
    if (type.kind === "service") {
      for (const { name } of type.methods) yield `${type.typeName}.${name}`;
    } else if (type.kind === "message") {
      for (const { name } of [...type.fields, ...type.oneofs]) yield `${type.typeName}.${name}`;
    } else if (type.kind === "enum") {
      // Its values stand beside it, as in C.
      const scope = type.typeName.slice(0, -type.name.length);
      for (const { name } of type.values) yield scope + name;
    }
  }
}
