import { HedgerowError } from "../errors.ts";
import { Liveness, type MemberRecord, PeerState } from "../members/member.ts";
import type { MemberInfo, PeerStateName } from "./api.ts";

const STATE_NAMES: Readonly<Record<PeerState, PeerStateName>> = {
  [PeerState.UNSPECIFIED]: "viewer",
  [PeerState.VIEWER]: "viewer",
  [PeerState.PARTICIPANT]: "participant",
  [PeerState.TERMINATING]: "terminating",
};

/** Throws `invalid_argument` for what is no state. */
export function peerState(name: PeerStateName): PeerState {
  for (const state of [PeerState.VIEWER, PeerState.PARTICIPANT, PeerState.TERMINATING]) {
    if (STATE_NAMES[state] === name) return state;
  }
  throw new HedgerowError(
    "invalid_argument",
    `${name} is no state of a member: give viewer, participant or terminating`,
  );
}

export function stateName(state: PeerState): PeerStateName {
  return STATE_NAMES[state];
}

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
