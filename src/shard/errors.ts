export type ShardErrorCode =
  /** A name, hash key or weight that no node can have. */
  | "invalid_node"
  /** Two nodes have one name, or one hash key. */
  | "duplicate_node"
  /** An option of a sharder, or a number of owners, is out of its range. */
  | "invalid_option"
  /** More nodes, or more tokens, than a sharder holds. */
  | "too_large"
  /** The view has fewer nodes than owners were asked for. */
  | "not_enough_nodes";

/**
 * What sharders throw; tell them apart by `code`. An error class of its own, since this folder imports
 * nothing: whoever puts a sharder behind an API of the cluster translates.
 */
export class ShardError extends Error {
  override readonly name = "ShardError";

  constructor(
    readonly code: ShardErrorCode,
    message: string,
  ) {
    super(message);
  }
}

export function notEnoughNodes(needed: number, there: number): ShardError {
  const message = `not enough nodes: need at least ${needed}, have ${there}`;
  return new ShardError("not_enough_nodes", message);
}

/** Throws `invalid_option` unless `value` is a whole number of `least` to `most`. */
export function checkWhole(what: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const message = `${what} ${value}: give a whole number of ${least} to ${most}`;
  throw new ShardError("invalid_option", message);
}
