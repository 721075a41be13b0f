import { expect, test } from "bun:test";
import type { MembersChange } from "../../src/node/api.ts";
import type { SimulatedNode } from "../simulation/world/cluster.ts";
import { LEASE_MS, Story } from "./world.ts";

const PODS = 100;

/**
 * A Deployment's rolling update as Kubernetes does it: new pods at addresses of their own come up, as many as the surge
 * allows, and once they are ready as many old ones are told to stop, all at the same time.
 */
class RollingRestart {
  readonly story: Story;
  /** Pods that serve and are not to stop, which somebody gave up. */
  readonly lost: string[] = [];
  /** The longest time without a leader, in milliseconds. */
  longestLeaderlessMs = 0;
  takeOvers = 0;
  readonly #serving = new Set<string>();
  #born = 0;

  constructor(pods: number) {
    this.story = new Story({
      nodes: pods,
      configure: (address) => ({
        onMembersChanged: (change: MembersChange) => this.#note(address, change),
      }),
    });
    this.story.settledLeader(30_000);
    for (const { address } of this.story.cluster.nodes) this.#serving.add(address);
    this.#watchLeaders();
  }

  /** Replaces these, all at once: told to stop, or, as the control, killed. */
  replace(old: readonly SimulatedNode[], end: "stop" | "crash" = "stop"): void {
    const { story } = this;
    const fresh = old.map(() => story.cluster.add(`10.1.0.${++this.#born}:8080`));
    story.until("the new pods are ready", 30_000, () => fresh.every(isReady));
    for (const { address } of fresh) this.#serving.add(address);
    for (const node of old) {
      this.#serving.delete(node.address);
      story.cluster[end](node);
    }
    story.until("the old pods have ended", 30_000, () =>
      old.every(({ machine }) => !machine.alive),
    );
  }

  get living(): SimulatedNode[] {
    return this.story.cluster.nodes.filter(({ machine }) => machine.alive);
  }

  #note(address: string, { left, joined }: MembersChange): void {
    const back = new Set(joined.map((member) => member.address));
    for (const member of left) {
      const gaveUp = this.#serving.has(member.address) && !back.has(member.address);
      if (gaveUp) this.lost.push(`${address} gave ${member.address} up`);
    }
  }

  #watchLeaders(): void {
    const { scheduler } = this.story.cluster;
    const check = scheduler.afterEach;
    let ledAt = scheduler.now;
    let leader: string | undefined;
    scheduler.afterEach = () => {
      check();
      const [leads] = this.story.cluster.leaders();
      if (leads !== undefined) ledAt = scheduler.now;
      if (leads !== undefined && leads.address !== leader) this.takeOvers++;
      leader = leads?.address ?? leader;
      this.longestLeaderlessMs = Math.max(this.longestLeaderlessMs, scheduler.now - ledAt);
    };
  }
}

function isReady({ core, machine }: SimulatedNode): boolean {
  if (!machine.alive || !core.running) return false;
  return core.members().some(({ address }) => address === core.leader);
}

test.each([
  ["a quarter at a time", PODS / 4, 0],
  ["all at once", PODS, 0],
  ["a tenth at a time, while one message in a hundred is lost", PODS / 10, 0.01],
])(
  "M8: %s: no leaderless second beyond the lease, no lost member",
  (_, surge, loss) => {
    const rolling = new RollingRestart(PODS);
    const { story } = rolling;
    story.cluster.network.faults.loss = loss;
    const all = [...story.cluster.nodes];
    for (let i = 0; i < all.length; i += surge) rolling.replace(all.slice(i, i + surge));
    const { living } = rolling;
    expect(living.length).toBe(PODS);
    const isWhole = () => living.every(({ core }) => core.members().length === PODS);
    story.until("all know all, and nobody else", 10_000, isWhole);
    story.pass(5_000);
    expect(isWhole()).toBe(true);
    expect(rolling.takeOvers).toBeGreaterThan(0);
    expect(rolling.longestLeaderlessMs).toBeLessThan(LEASE_MS);
    expect(rolling.lost).toEqual([]);
    expect(story.violations).toEqual([]);
  },
  60_000,
);

test("the control: where pods are killed instead, nobody leads for longer than the lease", () => {
  const rolling = new RollingRestart(12);
  const { story } = rolling;
  const all = [...story.cluster.nodes];
  rolling.replace(all, "crash");
  story.settledLeader();
  expect(rolling.longestLeaderlessMs).toBeGreaterThan(LEASE_MS);
});
