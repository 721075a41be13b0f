import { Liveness, type MemberRecord, PeerState } from "../members/member.ts";
import type { MemberInfo, PeerStateName } from "./api.ts";

const STATE_NAMES: Readonly<Record<PeerState, PeerStateName>> = {
  [PeerState.UNSPECIFIED]: "viewer",
  [PeerState.VIEWER]: "viewer",
  [PeerState.PARTICIPANT]: "participant",
  [PeerState.TERMINATING]: "terminating",
};

/** A member as users see it. */
export function memberInfo(record: MemberRecord): MemberInfo {
  const { name, address, incarnation, state, liveness } = record;
  return {
    name,
    address,
    incarnation,
    state: STATE_NAMES[state],
    suspect: liveness === Liveness.SUSPECT,
  };
}
