import type { StatusResponse } from "../gen/hedgerow/v1/hedgerow_pb.ts";

/** Heading and a row for each member. */
export function memberRows({ members, leader }: StatusResponse): string[][] {
  const rows = members.map((member) => [
    member.address,
    member.name,
    member.address === leader ? "leader" : "",
    member.state,
    String(member.incarnation),
  ]);
  return [["ADDRESS", "NAME", "ROLE", "STATE", "INCARNATION"], ...rows];
}

export function membersJson({ members }: StatusResponse) {
  return members.map(({ address, name, state, incarnation }) => ({
    address,
    name,
    state,
    // Milliseconds since the epoch: far from the first number that JSON's readers would round.
    incarnation: Number(incarnation),
  }));
}
