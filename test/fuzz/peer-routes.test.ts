import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { PeerService } from "../../src/gen/hedgerow/v1/peer_pb.ts";
import { decode, encode } from "../../src/rpc/codec.ts";
import type { PeerRoute } from "../../src/rpc/port.ts";
import { LEASE_MS } from "../scenarios/world.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { expectTyped } from "./kit/errors.ts";
import { hostileBytes } from "./kit/messages.ts";
import { PeerWorld, withoutFalseLeader } from "./kit/peer-world.ts";
import { boundMs, rounds } from "./kit/rounds.ts";
import { nameOf, SERVICES } from "./schemas.ts";

// What the peer listener does with a message once it is decoded, in whole clusters: every answer is a reply or a
// typed error, a refused message changes nothing, and the cluster goes on.

const MESSAGES = 150;
/** No call lasts longer, in simulated milliseconds. */
const LONGEST_MS = 60_000;

test("all methods that nodes serve to each other are among the routes", () => {
  const served = new PeerWorld(1).leader.core.routes.map(({ method }) => nameOf(method));
  const peers = SERVICES.filter(
    ({ typeName }) => typeName.startsWith("hedgerow.") && typeName !== HedgerowService.typeName,
  );
  const methods = peers.flatMap((service) => service.methods.map(nameOf));
  // Batches are bytes to those who serve them, as are the frames of streams: peer-wire.test.ts.
  const { batch, carry } = PeerService.method;
  const expected = methods.filter((name) => name !== nameOf(batch) && name !== nameOf(carry));
  expect(served.sort()).toEqual(expected.sort());
});

test("a list in a message is refused that is longer than any node sends", () => {
  const { story, leader } = new PeerWorld(1);
  const { address, core } = leader;
  const many = (item: unknown) => Array.from({ length: 20_000 }, () => item);
  const self = { name: address, address, incarnation: 1n, liveness: 1, state: 2 };
  const cluster = { label: "simulated", leaseMs: LEASE_MS };
  const lists: Readonly<Record<string, Record<string, unknown>>> = {
    Sync: { cluster, self, members: many(self) },
    Ping: { label: "simulated", target: address, self, updates: many(self) },
    AwaitCommits: { keys: many("key") },
    AwaitPermits: { holder: address, incarnation: 1n, grants: many("grant") },
    RenewSpill: { owners: many({ address, incarnation: 1n, store: 1n }) },
    RenewPermits: { claims: many({ semaphore: "s", owner: "o", grant: "grant" }) },
  };
  const repeated = core.routes.filter(({ method }) =>
    method.input.fields.some(({ fieldKind }) => fieldKind === "list"),
  );
  expect(repeated.map(({ method }) => method.name).sort()).toEqual(Object.keys(lists).sort());
  for (const { method, handle } of repeated) {
    const request = create(method.input, lists[method.name]);
    const { error } = story.outcome(handle(request, { timeoutMs: 100 }));
    expect(error).toMatchObject({ code: "invalid_argument" });
  }
});

test(
  "any message to any route is answered or refused, and the cluster goes on",
  () => {
    const answered = new Set<string>();
    const refused = new Set<string>();
    rounds(40, (prng) => {
      const attack = new Attack(prng);
      for (let i = 0; i < MESSAGES; i++) attack.send();
      attack.end();
      for (const name of attack.answered) answered.add(name);
      for (const name of attack.refused) refused.add(name);
    });
    const names = new PeerWorld(1).leader.core.routes.map(({ method }) => method.name).sort();
    expect([...answered].sort()).toEqual(names);
    expect([...refused].sort()).toEqual(names);
  },
  boundMs(60_000),
);

/** Messages to one cluster. */
class Attack {
  readonly answered = new Set<string>();
  readonly refused = new Set<string>();
  readonly #world: PeerWorld;
  readonly #open = new Set<string>();
  readonly #wrong: Error[] = [];

  constructor(private readonly prng: Prng) {
    this.#world = new PeerWorld(prng.seed);
  }

  /** One message, and what at once becomes of it. */
  send(): void {
    const { prng } = this;
    const world = this.#world;
    const node = prng.pick([world.leader, world.leader, world.follower]);
    const { method, handle } = prng.pick(node.core.routes);
    const bytes = hostileBytes(prng, method.input, world.plausible());
    const what = `${method.name} of ${Buffer.from(bytes).toString("hex").slice(0, 400)}`;
    const before = world.snapshot();
    let refusedNow = false;
    const refuse = (error: unknown) => {
      this.refused.add(method.name);
      refusedNow = true;
      this.#note(() => expectTyped(error, () => what));
    };
    try {
      const message = decode(method.input, bytes);
      withoutFalseLeader(message, world.leader.core.token);
      this.#open.add(what);
      void handle(message, { timeoutMs: prng.pick([1, 100, 5_000]) })
        .then((reply) => this.#answer({ method, handle }, reply), refuse)
        .finally(() => this.#open.delete(what));
    } catch (error) {
      refuse(error);
    }
    world.story.pass(0);
    if (refusedNow && world.snapshot() !== before)
      throw new Error(`${what}: refused, but not in vain`);
    if (prng.chance(0.1)) world.story.pass(prng.int(2_000));
    this.#check();
  }

  end(): void {
    const { story } = this.#world;
    const { scheduler } = story.cluster;
    const ends = scheduler.runUntilDone(story.now + LONGEST_MS, () => this.#open.size === 0);
    if (!ends) throw new Error(`calls that do not end: ${[...this.#open]}`);
    this.#check();
    this.#world.checkUsable();
  }

  #answer({ method }: PeerRoute, reply: unknown): void {
    this.answered.add(method.name);
    this.#note(() => encode(method.output, reply as Record<string, unknown>));
  }

  #note(check: () => unknown): void {
    try {
      check();
    } catch (error) {
      this.#wrong.push(error as Error);
    }
  }

  #check(): void {
    const [first] = this.#wrong;
    if (first !== undefined) throw first;
  }
}
