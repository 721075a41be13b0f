// Messages of membership, made by hand: also such as no node makes. Imports nothing of src.
import { BinaryWriter } from "@bufbuild/protobuf/wire";

export const LIVENESS = { alive: 1, suspect: 2, dead: 3, left: 4 } as const;
export const PARTICIPANT = 2;

export interface Statement {
  readonly name?: string;
  readonly address: string;
  readonly incarnation: bigint;
  readonly version?: number;
  readonly liveness?: number;
  readonly state?: number;
  readonly accusers?: readonly string[];
}

export interface Ping {
  readonly label: string;
  /** The name of the member that is meant. */
  readonly target: string;
  readonly self: Statement;
  readonly updates?: readonly Statement[];
}

export interface Sync {
  readonly label: string;
  readonly leaseMs: number;
  readonly self: Statement;
  readonly members?: readonly Statement[];
}

/** hedgerow.v1.PingRequest */
export function pingBytes({ label, target, self, updates = [] }: Ping): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  writer.tag(1, 2).string(label).tag(2, 2).string(target);
  for (const update of updates) writer.tag(3, 2).bytes(statementBytes(update));
  writer.tag(5, 2).bytes(statementBytes(self));
  return writer.finish();
}

/** hedgerow.v1.SyncRequest */
export function syncBytes({ label, leaseMs, self, members = [] }: Sync): Uint8Array<ArrayBuffer> {
  const cluster = new BinaryWriter().tag(1, 2).string(label).tag(2, 0).uint32(leaseMs).finish();
  const writer = new BinaryWriter();
  writer.tag(1, 2).bytes(cluster).tag(2, 2).bytes(statementBytes(self));
  for (const member of members) writer.tag(3, 2).bytes(statementBytes(member));
  return writer.finish();
}

/** hedgerow.v1.Member */
function statementBytes(statement: Statement): Uint8Array {
  const { name = "", address, incarnation, version = 0, accusers = [] } = statement;
  const { liveness = LIVENESS.alive, state = PARTICIPANT } = statement;
  const writer = new BinaryWriter();
  writer.tag(1, 2).string(name).tag(2, 2).string(address).tag(3, 0).uint64(incarnation);
  writer.tag(4, 0).uint32(version).tag(5, 0).int32(liveness).tag(6, 0).int32(state);
  for (const accuser of accusers) writer.tag(7, 2).string(accuser);
  return writer.finish();
}
