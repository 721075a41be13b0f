// One key of the append-only log, as one copy of it would answer. Imports nothing of src.
import { checkLinearizable, type Model, type Operation } from "./linearizable.ts";

/** A put or a get of one key. Versions are named by their ids. */
export type LogCall =
  | {
      readonly kind: "put";
      readonly id: string;
      /** The newest version that it was to follow, "" for none; undefined: whatever there is. */
      readonly ifVersion?: string | undefined;
      /** The newest version that refused it; undefined: it was acknowledged, or is open. */
      readonly conflictsWith?: string | undefined;
    }
  | {
      readonly kind: "get";
      /** Newest first. */
      readonly ids: readonly string[];
      /** How many were asked for; Infinity for all. */
      readonly count: number;
    };

/**
 * The copy. Its state is how many of `ids` have been written: the ids of the key's versions, oldest first, as
 * they were read when all was over. As nothing is ever written in between or taken away, any earlier state is
 * a beginning of them, and a put that is not among them was not done.
 */
export function logModel(ids: readonly string[]): Model<number, LogCall> {
  const places = new Map(ids.map((id, place) => [id, place]));
  return {
    initial: 0,
    key: (written) => written,
    step(written, call, open) {
      const newest = ids[written - 1] ?? "";
      if (call.kind === "get") {
        const from = Math.max(0, written - call.count);
        const expected = ids.slice(from, written).reverse();
        return expected.join("\n") === call.ids.join("\n") ? written : null;
      }
      const { id, ifVersion, conflictsWith } = call;
      const meets = ifVersion === undefined || ifVersion === newest;
      if (conflictsWith !== undefined) {
        return !meets && conflictsWith === newest ? written : null;
      }
      // A repeated put is acknowledged, and does nothing.
      if (!open && (places.get(id) ?? Infinity) < written) return written;
      return meets && ids[written] === id ? written + 1 : null;
    },
  };
}

/** What is wrong with the calls to each key, by the ids that each holds in the end, oldest first. */
export function checkLogHistories(
  calls: ReadonlyMap<string, readonly Operation<LogCall>[]>,
  final: ReadonlyMap<string, readonly string[]>,
  maxSteps?: number,
): string[] {
  const violations: string[] = [];
  for (const [key, operations] of calls) {
    const verdict = checkLinearizable(logModel(final.get(key) ?? []), operations, maxSteps);
    if (verdict.kind === "violated") {
      const { stuck, order } = verdict;
      const after = order.length === 0 ? "first" : `after ${JSON.stringify(order.at(-1))}`;
      violations.push(
        `${key} is not linearizable: ${JSON.stringify(stuck)} fits nowhere, ${after}`,
      );
    } else if (verdict.kind === "undecided") {
      violations.push(`${key}: not decided in ${verdict.steps} steps whether it is linearizable`);
    }
  }
  return violations;
}
