import { create } from "@bufbuild/protobuf";
import { expect, test } from "bun:test";
import { PingRequestSchema } from "../../src/gen/hedgerow/v1/gossip_pb.ts";
import { Liveness, PeerState, toWire } from "../../src/members/member.ts";
import { memberMetrics } from "../../src/members/metrics.ts";
import { Observers } from "../../src/members/observers.ts";
import { FAST_PROFILE } from "../../src/members/timing.ts";
import { prometheusText } from "../../src/observe/prometheus.ts";
import { parseExposition, sampleOf } from "../observe/exposition.ts";
import { recordOf, Swarm, type SwarmNode } from "../simulation/swarm/swarm.ts";
import { ManualClock } from "../rpc/kit/clock.ts";

const clock = new ManualClock();

const PREFIX = "hedgerow_cluster_node_";

/** What a node exposes, by names without their prefix. */
function metricsOf({ gossip }: SwarmNode, observers = new Observers(clock, () => {})) {
  const families = parseExposition(prometheusText(memberMetrics(gossip, observers, "swarm")));
  return (name: string, labels?: string) => sampleOf(families, PREFIX + name, labels);
}

function eventsOf(node: SwarmNode) {
  const metrics = metricsOf(node);
  return (event: string) => metrics("gossip_received_events_total", `{event="${event}"}`);
}

test("lists are told by state, and everybody by how it answers", () => {
  const swarm = new Swarm(1, { nodes: 5, timing: FAST_PROFILE });
  swarm.pass(5_000);
  const node = swarm.node(0);
  const before = metricsOf(node);
  expect(before("info", '{cluster_name="swarm",node="10.0.0.1:8080",state="participant"}')).toBe(1);
  expect(before("peers", '{state="participant"}')).toBe(5);
  expect(before("gossip_alive_peers")).toBe(5);
  const answered = (metrics: typeof before) =>
    metrics("gossip_probes_total", '{outcome="answered"}') +
    metrics("gossip_probes_total", '{outcome="spared"}');
  expect(answered(before)).toBeGreaterThan(5);
  expect(before("gossip_probes_total", '{outcome="unanswered"}')).toBe(0);
  expect(eventsOf(node)("node_join")).toBe(5);

  swarm.crash(swarm.node(1));
  const all = swarm.living.map((each) => () => metricsOf(each));
  const anyIs = (name: string, value: number) => all.some((metrics) => metrics()(name) >= value);
  expect(swarm.until(5_000, () => anyIs("gossip_suspect_peers", 1))).toBeLessThan(5_000);
  expect(swarm.until(5_000, () => swarm.isWhole())).toBeLessThan(5_000);
  const after = metricsOf(node);
  expect(after("peers", '{state="participant"}')).toBe(4);
  expect(after("gossip_gone_peers")).toBe(1);
  expect(anyIs("gossip_suspicions_total", 1)).toBe(true);
  expect(anyIs("gossip_deaths_total", 1)).toBe(true);
  expect(eventsOf(node)("node_leave")).toBe(1);
});

test("what others say of it, and what strangers send, is counted", async () => {
  const swarm = new Swarm(2, { nodes: 3, timing: FAST_PROFILE });
  swarm.pass(1_000);
  const node = swarm.node(0);
  const lamport = metricsOf(node)("lamport_time");
  const [self] = node.gossip.members().filter(({ address }) => address === node.address);
  const from = recordOf("10.0.0.2:8080", 1_700_000_000_000);
  const ping = (label: string, updates: object[]) =>
    node.gossip
      .servePing(
        create(PingRequestSchema, { label, target: node.address, self: toWire(from), updates }),
      )
      .catch(() => {});
  await ping("swarm", [{ ...toWire(self as typeof from), liveness: Liveness.SUSPECT }]);
  await ping("another", []);
  await ping("swarm", [{ name: "x", address: "", incarnation: 1n }]);
  const metrics = metricsOf(node);
  expect(metrics("gossip_refutations_total")).toBe(1);
  expect(metrics("lamport_time")).toBe(lamport + 1);
  expect(metrics("gossip_health_score")).toBe(1);
  expect(metrics("gossip_pending_news")).toBeGreaterThan(0);
  const events = eventsOf(node);
  expect([events("foreign_message"), events("unknown_message")]).toEqual([1, 1]);
});

test("observers are counted, and seen at work", async () => {
  const swarm = new Swarm(3, { nodes: 1, timing: FAST_PROFILE });
  const observers = new Observers(clock, () => {});
  const done = Promise.withResolvers<void>();
  const end = observers.observe(() => done.promise, false);
  observers.notify([]);
  await Promise.resolve();
  const during = metricsOf(swarm.node(0), observers);
  expect([during("update_observers"), during("updating")]).toEqual([1, 1]);
  clock.pass(300);
  done.resolve();
  await done.promise;
  await Promise.resolve();
  const after = metricsOf(swarm.node(0), observers);
  expect(after("updating")).toBe(0);
  expect(after("update_duration_seconds", "_count")).toBe(1);
  expect(after("update_duration_seconds", "_sum")).toBeCloseTo(0.3);
  end();
  expect(metricsOf(swarm.node(0), observers)("update_observers")).toBe(0);
});

test("states are told apart", () => {
  const swarm = new Swarm(4, { nodes: 3, timing: FAST_PROFILE });
  swarm.node(1).gossip.become(PeerState.TERMINATING);
  swarm.pass(1_000);
  const metrics = metricsOf(swarm.node(0));
  expect(metrics("peers", '{state="participant"}')).toBe(2);
  expect(metrics("peers", '{state="terminating"}')).toBe(1);
  expect(metrics("peers", '{state="viewer"}')).toBe(0);
  expect(eventsOf(swarm.node(0))("node_update")).toBe(1);
});
