import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import type {
  WatchMembersRequest,
  WatchMembersResponseSchema,
} from "../gen/hedgerow/v1/hedgerow_pb.ts";
import type { HedgerowNode, MemberInfo } from "../node/api.ts";
import { Latest } from "./latest.ts";

/** All members, and all again at each change. A slow reader gets the latest list, not those between. */
export async function* watchMembers(
  node: HedgerowNode,
  { participantsOnly }: WatchMembersRequest,
  { signal }: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof WatchMembersResponseSchema>> {
  const lists = new Latest<readonly MemberInfo[]>(signal);
  const end = node.observe((members) => lists.set(members), { participantsOnly });
  lists.set(node.members());
  try {
    for (let members = await lists.next(); members !== undefined; members = await lists.next()) {
      yield { members: members.map(memberToWire) };
    }
  } finally {
    end();
  }
  // The server's stop and the caller's deadline say so; somebody who has gone hears nothing.
  if (signal.reason instanceof ConnectError) throw signal.reason;
}

export function memberToWire({ address, name, incarnation, state, suspect }: MemberInfo) {
  return {
    address,
    name,
    incarnation: BigInt(incarnation),
    state: suspect ? "suspect" : state,
  };
}
