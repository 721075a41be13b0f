import { HedgerowError } from "../errors.ts";
import * as algorithms from "../shard/algorithms.ts";
import { ShardError } from "../shard/errors.ts";
import type { ShardKey } from "../shard/key.ts";
import type { ShardView } from "../shard/node.ts";
import type { Sharder } from "../shard/sharder.ts";
import type * as api from "./api.ts";

/** Loaded when it is used for the first time: src/shard takes 2 ms and some megabytes. */
export class MemberSharder implements api.MemberSharder {
  readonly #sharder: Sharder<ShardMember>;

  /** Throws `invalid_argument` for options that the algorithm does not take. */
  constructor(options: api.SharderOptions) {
    this.#sharder = translating(() => sharderOf(options));
  }

  owner(key: string | ShardKey, view?: ShardView): api.MemberInfo {
    try {
      return this.#sharder.owner(key, view);
    } catch (error) {
      throw translated(error);
    }
  }

  lookup(
    key: string | ShardKey,
    count: number,
    view?: ShardView,
    into: api.MemberInfo[] = [],
  ): api.MemberInfo[] {
    try {
      return this.#sharder.lookup(key, count, view, into as ShardMember[]);
    } catch (error) {
      throw translated(error);
    }
  }

  size(view?: ShardView): number {
    return this.#sharder.size(view);
  }

  /** Throws `too_large` for more members than the algorithm holds, and stays as it was. */
  update(members: readonly api.MemberInfo[]): void {
    translating(() => this.#sharder.update(shardMembers(members)));
  }
}

/** A gateway knows members by their addresses: Envoy's algorithms hash those, whatever the names. */
interface ShardMember extends api.MemberInfo {
  readonly hashKey: string;
}

/**
 * Of several members at one address the one that started last: the others are the ghosts of processes before it.
 * So nodes that know the same members agree, and no ghost owns a key.
 */
function shardMembers(members: readonly api.MemberInfo[]): ShardMember[] {
  const byAddress = new Map<string, ShardMember>();
  for (const member of members) {
    const known = byAddress.get(member.address);
    const isLater = known === undefined || isBefore(known, member);
    if (isLater) byAddress.set(member.address, { ...member, hashKey: member.address });
  }
  return [...byAddress.values()];
}

function isBefore(a: api.MemberInfo, b: api.MemberInfo): boolean {
  return a.incarnation === b.incarnation ? a.name < b.name : a.incarnation < b.incarnation;
}

function sharderOf(options: api.SharderOptions): Sharder<ShardMember> {
  switch (options.algorithm) {
    case "ring":
      return algorithms.ring(options.tokens);
    case "rendezvous":
      return algorithms.rendezvous();
    case "multiprobe":
      return algorithms.multiprobe();
    case "ringHash":
      return algorithms.ringHash(options);
    case "maglev":
      return algorithms.maglev(options);
  }
}

function translating<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translated(error);
  }
}

function translated(error: unknown): unknown {
  if (!(error instanceof ShardError)) return error;
  const { code, message } = error;
  if (code === "not_enough_nodes" || code === "too_large") return new HedgerowError(code, message);
  return new HedgerowError(
    code === "invalid_option" ? "invalid_argument" : "internal",
    `sharder: ${message}`,
    { cause: error },
  );
}
