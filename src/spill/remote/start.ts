import { HedgerowError, messageOf } from "../../errors.ts";
import type { Logger } from "../../observe/logger.ts";
import { refusedConnection } from "../../rpc/errors.ts";
import type { Peers } from "../../rpc/port.ts";
import { CALLS } from "./wire.ts";

const TIMEOUT_MS = 3_000;

/** How nodes are asked who they are. */
export interface Asker {
  readonly peers: Peers;
  readonly logger: Logger;
  /** This node's address. */
  readonly self: string;
}

/** Whether the system of the other side said that no process listens there. */
export function nobodyListens(error: unknown): boolean {
  return error instanceof HedgerowError && refusedConnection(error.cause);
}

/**
 * Which start of a process is at the address now; "none" if no process listens there, null if nobody says. Incarnations
 * of members do not tell: a process that lives raises its own where another one is claimed in its name.
 */
export async function startAt(address: string, asker: Asker): Promise<bigint | "none" | null> {
  const { peers, logger, self } = asker;
  const options = { timeoutMs: TIMEOUT_MS };
  try {
    const { incarnation } = await peers.unary(address, CALLS.room, { asker: self }, options);
    return incarnation === 0n ? null : incarnation; // of a node that is older than the question
  } catch (error) {
    logger.debug("nobody says who is there", { address, error: messageOf(error) });
    return nobodyListens(error) ? "none" : null;
  }
}
