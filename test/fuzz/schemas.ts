import type { DescFile, DescMessage, DescMethod, DescService } from "@bufbuild/protobuf";
import { file_grpc_health_v1_health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { file_grpc_reflection_v1_reflection } from "../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { file_grpc_reflection_v1alpha_reflection } from "../../src/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { file_hedgerow_v1_claims } from "../../src/gen/hedgerow/v1/claims_pb.ts";
import { file_hedgerow_v1_gossip } from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import { file_hedgerow_v1_hedgerow } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { file_hedgerow_v1_peer } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { file_hedgerow_v1_spill } from "../../src/gen/hedgerow/v1/spill_pb.ts";

/** All generated files; decoders.test.ts holds this to the folder. */
export const FILES: readonly DescFile[] = [
  file_grpc_health_v1_health,
  file_grpc_reflection_v1_reflection,
  file_grpc_reflection_v1alpha_reflection,
  file_hedgerow_v1_claims,
  file_hedgerow_v1_gossip,
  file_hedgerow_v1_hedgerow,
  file_hedgerow_v1_peer,
  file_hedgerow_v1_spill,
];

export const MESSAGES: readonly DescMessage[] = FILES.flatMap(({ messages }) => messages);

export const SERVICES: readonly DescService[] = FILES.flatMap(({ services }) => services);

/** As in `hedgerow.v1.PeerService/Append`. */
export function nameOf({ parent, name }: DescMethod): string {
  return `${parent.typeName}/${name}`;
}
