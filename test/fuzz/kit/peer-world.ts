import type { Message } from "@bufbuild/protobuf";
import type { LeaderHint } from "../../../src/gen/hedgerow/v1/peer_pb.ts";
import type { PeerRoute } from "../../../src/rpc/port.ts";
import { LEASE_MS, Story } from "../../scenarios/world.ts";
import type { SimulatedNode } from "../../simulation/world/cluster.ts";
import type { Plausible } from "./messages.ts";

export const LOCK = "fuzzed-lock";
export const SEMAPHORE = "fuzzed-semaphore";
export const LIMIT = 2;

/** Simulated milliseconds: the longest that a forged statement lasts is the memory of the dead. */
const RECOVERY_MS = 200_000;

/** A cluster whose leader has something to lose: puts, a lock that is held and waited for, permits likewise. */
export class PeerWorld {
  readonly story: Story;
  readonly leader: SimulatedNode;
  readonly follower: SimulatedNode;

  constructor(seed: number) {
    this.story = new Story({}, seed);
    this.leader = this.story.settledLeader();
    this.follower = this.story.follower();
    const { core } = this.follower;
    this.story.outcome(core.log.put("key", "value", { id: "version" }));
    this.story.outcome(core.locks.lock(LOCK).acquire());
    for (let held = 0; held < LIMIT; held++) {
      const owner = `owner-${held}`;
      this.story.outcome(core.semaphores.semaphore(SEMAPHORE, LIMIT).acquire({ owner }));
    }
    const waiter = this.story.follower(1).core;
    const quietly = { timeoutMs: 600_000 };
    waiter.locks
      .lock(LOCK)
      .acquire(quietly)
      .catch(() => {});
    waiter.semaphores
      .semaphore(SEMAPHORE, LIMIT)
      .acquire(quietly)
      .catch(() => {});
    this.story.pass(100);
  }

  get routes(): readonly PeerRoute[] {
    return this.leader.core.routes;
  }

  route(node: SimulatedNode, name: string): PeerRoute {
    const found = node.core.routes.find(({ method }) => method.name === name);
    if (found === undefined) throw new Error(`no route ${name}`);
    return found;
  }

  /** What requests may name so that they mean something here. */
  plausible(): Plausible {
    const { nodes, database } = this.story.cluster;
    const addresses = nodes.map(({ address }) => address);
    const own = nodes.map(({ core }) =>
      core.members().find(({ name }) => name === core.config.name),
    );
    const tokens = [...database.locks.rows.values()].map(({ token }) => BigInt(token ?? 0));
    const incarnations = own.map((member) => BigInt(member?.incarnation ?? 1));
    return {
      address: [...addresses, "10.0.0.9:8080"],
      name: [...addresses, LOCK, "10.0.0.9:8080"],
      target: addresses,
      member: addresses,
      holder: addresses,
      told: ["", "contender"],
      contender: ["contender", "another"],
      label: ["simulated"],
      lease_ms: [LEASE_MS],
      incarnation: [...incarnations, ...incarnations.map((incarnation) => incarnation + 1n)],
      version: [0, 1, 2, 3, 100],
      stamp: [1n, 10n ** 15n, 2n ** 53n - 1n],
      token: tokens,
      key: ["key", "other"],
      keys: ["key", "other"],
      id: ["-", "version", "new"],
      if_version: ["", "version", "-"],
      fence_name: ["", LOCK],
      fence_token: tokens,
      semaphore: [SEMAPHORE, "another"],
      owner: ["owner-0", "owner-1", "owner-2"],
      grant: ["grant", "another"],
      grants: ["grant", "another"],
      limit: [1, LIMIT],
      wait_ms: [0, 10, 1_000],
      waited_ms: [0, 10, 1_000],
      timeout_ms: [1, 100],
    };
  }

  /** What no refused message may change: what each node knows, and who has which lock. */
  snapshot(): string {
    const { nodes, database } = this.story.cluster;
    const known = nodes.map(({ core }) => ({
      members: core.members(),
      leader: core.leader,
      token: core.token,
      leads: core.isLeader,
    }));
    return JSON.stringify([known, [...database.locks.rows]]);
  }

  /** Everything that the cluster is for goes on. Throws what does not. */
  checkUsable(): void {
    const { story } = this;
    const whole = () => {
      const [leader] = story.cluster.leaders();
      return story.cluster.nodes.every(
        ({ core }) =>
          leader !== undefined &&
          core.leader === leader.address &&
          story.cluster.nodes.every(({ address }) =>
            core.members().some((member) => member.address === address && !member.suspect),
          ),
      );
    };
    if (!story.cluster.scheduler.runUntilDone(story.now + RECOVERY_MS, whole)) {
      throw new Error(`not whole ${RECOVERY_MS} ms later: ${this.snapshot()}`);
    }
    for (const [i, { core, address }] of story.cluster.nodes.entries()) {
      const calls = {
        put: core.log.put(`after-${i}`, "value"),
        lock: core.locks.lock(`after-${i}`).acquire({ timeoutMs: 30_000 }),
        permit: core.semaphores.semaphore(`after-${i}`, 1).acquire({ timeoutMs: 30_000 }),
        send: core.messaging.send("hello"),
      };
      for (const [what, call] of Object.entries(calls)) {
        const { error } = story.outcome<unknown>(call);
        if (error !== null) throw new Error(`${what} at ${address} afterwards: ${error.message}`);
      }
    }
    if (story.violations.length > 0) throw new Error(story.violations.join("\n"));
  }
}

/**
 * Members are believed when they say who leads, or that nobody does any more: a false hint that is as new as the
 * truth stays. Such are left out here, so that the cluster can go on.
 */
export function withoutFalseLeader(message: Message, newest: string | null): void {
  const { leader } = message as Message & { leader?: LeaderHint | undefined };
  if (leader !== undefined && leader.token >= BigInt(newest ?? 0)) leader.token = 1n;
}
