import { HedgerowError } from "../errors.ts";

/** How often what has happened to a node's membership since its start: plain numbers, which metrics.ts names. */
export class GossipFigures {
  /**
   * Rounds of probes, by how they ended: another call's answer made the probe needless, it was answered in time,
   * answered later or through others, or not at all.
   */
  readonly probes = { spared: 0, answered: 0, late: 0, unanswered: 0 };
  /** What was heard, by ckit's names where it has one. */
  readonly events = {
    /** A statement that was news. */
    state_change_message: 0,
    /** A message that no node sends. */
    unknown_message: 0,
    /** A message of another cluster, or for another member. */
    foreign_message: 0,
    /** This node's list was given to another. */
    get_local_state: 0,
    /** Another's list was taken in. */
    merge_remote_state: 0,
    node_join: 0,
    node_leave: 0,
    /** A member's state changed. */
    node_update: 0,
    /** Somebody came with a name that is taken. */
    node_conflict: 0,
  };
  /** Members that this node itself came to suspect. */
  suspicions = 0;
  /** Members that this node gave up. */
  deaths = 0;
  /** Statements of itself that this node refuted. */
  refutations = 0;
  /** How often this node's timers ran late, and by how many milliseconds in all. */
  readonly stalls = { count: 0, ms: 0 };

  /** Counts what another node's message was refused for, and passes its outcome on. */
  async served<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (HedgerowError.is(error, "other_cluster")) this.events.foreign_message++;
      if (HedgerowError.is(error, "invalid_argument")) this.events.unknown_message++;
      throw error;
    }
  }
}
