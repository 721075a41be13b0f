import type { StatusResponse } from "../gen/hedgerow/v1/hedgerow_pb.ts";

/** Empty while no leader is known. */
export type Role = "leader" | "follower" | "";

export function roleOf(leader: string, leads: boolean): Role {
  if (leader === "") return "";
  return leads ? "leader" : "follower";
}

/** Heading and a row for each member. */
export function memberRows({ members, leader }: StatusResponse): string[][] {
  const rows = members.map((member) => [
    member.address,
    member.name,
    roleOf(leader, member.address === leader),
    member.state,
    String(member.incarnation),
  ]);
  return [["ADDRESS", "NAME", "ROLE", "STATE", "INCARNATION"], ...rows];
}

export function membersJson({ members, leader }: StatusResponse) {
  return members.map(({ address, name, state, incarnation }) => ({
    address,
    name,
    role: roleOf(leader, address === leader),
    state,
    // Milliseconds since the epoch: far from the first number that JSON's readers would round.
    incarnation: Number(incarnation),
  }));
}
