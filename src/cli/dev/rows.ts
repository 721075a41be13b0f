import type { StatusResponse } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import { type Role, roleOf } from "../status-view.ts";
import type { Exit } from "./child.ts";
import { DEV_HOST, type PlannedNode } from "./plan.ts";

export type NodeState = "starting" | "joining" | "ready" | "silent" | "stopped" | "dead";

/** One line of the live table. */
export interface NodeRow {
  readonly node: number;
  readonly http: string;
  readonly peer: string;
  readonly role: Role;
  readonly token: string;
  /** null while it does not answer. */
  readonly members: number | null;
  readonly pid: number;
  readonly state: NodeState;
  /** Why it is in that state, where there is something to say. */
  readonly note: string;
}

export interface Observed {
  readonly planned: PlannedNode;
  readonly pid: number;
  /** The last answer; null if there was none in time. */
  readonly status: StatusResponse | null;
  /** Whether it ever answered. */
  readonly answeredBefore: boolean;
  readonly exit: Exit | null;
  readonly stopping: boolean;
  readonly lastLine: string;
  /** Nodes without a store have no leader to wait for. */
  readonly leaderless: boolean;
}

export function httpUrl(node: PlannedNode): string {
  return `http://${DEV_HOST}:${node.httpPort}`;
}

export function nodeRow(observed: Observed): NodeRow {
  const { planned, pid, status, exit } = observed;
  const shown = exit === null ? status : null;
  return {
    node: planned.number,
    http: httpUrl(planned),
    peer: `${DEV_HOST}:${planned.peerPort}`,
    role: shown === null ? "" : roleOf(shown.leader, shown.isLeader),
    token: shown?.token ?? "",
    members: shown?.members.length ?? null,
    pid,
    ...stateOf(observed),
  };
}

function stateOf(observed: Observed): { state: NodeState; note: string } {
  const { exit, status, answeredBefore, stopping, lastLine, leaderless } = observed;
  if (exit !== null) {
    if (stopping && exit.code === 0) return { state: "stopped", note: "" };
    const how = exit.signal === null ? `exit code ${exit.code}` : exit.signal;
    return { state: "dead", note: lastLine === "" ? how : `${how}: ${lastLine}` };
  }
  if (status === null) return { state: answeredBefore ? "silent" : "starting", note: "" };
  return { state: status.leader === "" && !leaderless ? "joining" : "ready", note: "" };
}
