import { create } from "@bufbuild/protobuf";
import { HedgerowError } from "../errors.ts";
import { Liveness, type Member, MemberSchema, PeerState } from "../gen/hedgerow/v1/gossip_pb.ts";
import { MAX_NAME_BYTES } from "../store/limits.ts";

export { Liveness, PeerState };

/**
 * What one member is said to be. Of two statements about one name the later wins: by incarnation, then by
 * version, then the worse liveness.
 */
export interface MemberRecord {
  readonly name: string;
  /** `host:port` of its peer listener. */
  readonly address: string;
  /** Milliseconds since the epoch at the member's start, or more: grows with every start. */
  readonly incarnation: number;
  /** Raised by the member itself, with each change of its state and each refutation. */
  readonly version: number;
  readonly liveness: Liveness;
  readonly state: PeerState;
  /** Names of those who could not reach it; of suspects and the dead only. */
  readonly accusers?: readonly string[];
}

/** No wall clock gives more before the year 10889; keeps forged ones from ending the order. */
export const MAX_INCARNATION = 2 ** 48;
export const MAX_VERSION = 2 ** 31;
/** Accusers on one statement at most. */
const MAX_ACCUSERS = 16;

/** Whether a statement supersedes what is known. */
export function supersedes(said: MemberRecord, known: MemberRecord): boolean {
  if (said.incarnation !== known.incarnation) return said.incarnation > known.incarnation;
  if (said.version !== known.version) return said.version > known.version;
  return said.liveness > known.liveness;
}

/** Whether the member counts: it is there, or has not been proven gone. */
export function isPresent(record: MemberRecord): boolean {
  return record.liveness === Liveness.ALIVE || record.liveness === Liveness.SUSPECT;
}

/** Legal changes of a member's own state. */
const TRANSITIONS: Readonly<Record<PeerState, readonly PeerState[]>> = {
  [PeerState.UNSPECIFIED]: [],
  [PeerState.VIEWER]: [PeerState.PARTICIPANT],
  [PeerState.PARTICIPANT]: [PeerState.TERMINATING],
  [PeerState.TERMINATING]: [],
};

/** Throws `invalid_argument` that names both states. */
export function checkTransition(from: PeerState, to: PeerState): void {
  if (TRANSITIONS[from].includes(to)) return;
  const message = `state ${PeerState[from]} cannot become ${PeerState[to]}`;
  throw new HedgerowError("invalid_argument", message);
}

/** Whether it is said to be unreachable, which is for itself to refute. */
export function isAccused(record: MemberRecord): boolean {
  return record.liveness === Liveness.SUSPECT || record.liveness === Liveness.DEAD;
}

/** A statement is told many times, and never changes: its message is made once. */
const wire = new WeakMap<MemberRecord, Member>();

export function toWire(record: MemberRecord): Member {
  const made = wire.get(record);
  if (made !== undefined) return made;
  const { name, address, version, liveness, state } = record;
  const message = create(MemberSchema, {
    name: name === address ? "" : name,
    address,
    incarnation: BigInt(record.incarnation),
    version,
    liveness,
    state,
    accusers: [...(record.accusers ?? [])],
  });
  wire.set(record, message);
  return message;
}

/** A statement from the wire. Throws `invalid_argument` for one that no node makes. */
export function fromWire(member: Member): MemberRecord {
  const incarnation = Number(member.incarnation);
  const sound =
    member.name.length <= MAX_NAME_BYTES &&
    member.address !== "" &&
    member.address.length <= MAX_NAME_BYTES &&
    incarnation > 0 &&
    incarnation <= MAX_INCARNATION &&
    member.version <= MAX_VERSION &&
    Liveness[member.liveness] !== undefined &&
    member.liveness !== Liveness.UNSPECIFIED &&
    PeerState[member.state] !== undefined &&
    member.state !== PeerState.UNSPECIFIED &&
    member.accusers.length <= MAX_ACCUSERS &&
    member.accusers.every((accuser) => accuser.length <= MAX_NAME_BYTES);
  if (!sound) throw new HedgerowError("invalid_argument", "gossip: a member's record is malformed");
  const { address, version, liveness, state, accusers } = member;
  const record = { name: member.name || address, address, incarnation, version, liveness, state };
  return isAccused(record) ? { ...record, accusers } : record;
}
