import { by, counter, type Family, gauge, histogram } from "../observe/families.ts";
import type { Gossip } from "./gossip.ts";
import { Liveness, type MemberRecord, PeerState } from "./member.ts";
import type { Observers } from "./observers.ts";

const STATES: Readonly<Record<string, PeerState>> = {
  viewer: PeerState.VIEWER,
  participant: PeerState.PARTICIPANT,
  terminating: PeerState.TERMINATING,
};

/** Membership by the names that ckit gives its own, with our prefix; what only ours has besides. */
export function memberMetrics(gossip: Gossip, observers: Observers, label: string): Family[] {
  return [...listMetrics(gossip, observers, label), ...gossipMetrics(gossip)];
}

function listMetrics(gossip: Gossip, observers: Observers, label: string): Family[] {
  const members = gossip.members();
  const { self, goneSize } = gossip.standing;
  const count = (is: (member: MemberRecord) => boolean) => members.filter(is).length;
  const inState = Object.entries(STATES).map(([name, state]) => [
    name,
    count((member) => member.state === state),
  ]);
  const alive = count(({ liveness }) => liveness === Liveness.ALIVE);
  const [state = ""] = Object.entries(STATES).find(([, each]) => each === self.state) ?? [];
  return [
    gauge("hedgerow_cluster_node_info", "1, with this node's name, cluster and state.", {
      labels: { cluster_name: label, node: self.name, state },
      value: 1,
    }),
    gauge(
      "hedgerow_cluster_node_peers",
      "Members that this node knows, itself included, by state.",
      ...by("state", Object.fromEntries(inState)),
    ),
    gauge(
      "hedgerow_cluster_node_gossip_alive_peers",
      "Members of which nobody doubts that they are there, this node included.",
      alive,
    ),
    gauge(
      "hedgerow_cluster_node_gossip_suspect_peers",
      "Members that did not answer lately, and are dropped unless they refute that.",
      members.length - alive,
    ),
    gauge(
      "hedgerow_cluster_node_gossip_gone_peers",
      "Former members that are remembered, so that no old message brings them back.",
      goneSize,
    ),
    gauge(
      "hedgerow_cluster_node_incarnation",
      "Names this start of the node: milliseconds since the epoch, or more.",
      self.incarnation,
    ),
    gauge(
      "hedgerow_cluster_node_lamport_time",
      "Logical time of this node within its incarnation: grows with each statement of itself.",
      self.version,
    ),
    gauge(
      "hedgerow_cluster_node_update_observers",
      "Observers that are told of changes of the members.",
      observers.size,
    ),
    gauge(
      "hedgerow_cluster_node_updating",
      "1 while an observer is being told of a change.",
      Number(observers.busy),
    ),
    histogram(
      "hedgerow_cluster_node_update_duration_seconds",
      "How long each observer took over each change that it was told of.",
      observers.durations,
    ),
  ];
}

function gossipMetrics({ figures, standing }: Gossip): Family[] {
  return [
    counter(
      "hedgerow_cluster_node_gossip_received_events_total",
      "What this node heard of others in gossip, by kind of event.",
      ...by("event", figures.events),
    ),
    counter(
      "hedgerow_cluster_node_gossip_probes_total",
      "Rounds of probes: spared by another answer, answered in time, late or through others, or unanswered.",
      ...by("outcome", figures.probes),
    ),
    counter(
      "hedgerow_cluster_node_gossip_suspicions_total",
      "Members that this node came to suspect because they did not answer it.",
      figures.suspicions,
    ),
    counter(
      "hedgerow_cluster_node_gossip_deaths_total",
      "Members that this node gave up because nobody refuted their suspicion in time.",
      figures.deaths,
    ),
    counter(
      "hedgerow_cluster_node_gossip_refutations_total",
      "Statements about this node that it refuted.",
      figures.refutations,
    ),
    gauge(
      "hedgerow_cluster_node_gossip_pending_news",
      "Members of whom there are news that this node still tells others.",
      standing.newsSize,
    ),
    gauge(
      "hedgerow_cluster_node_gossip_health_score",
      "How far this node distrusts its own judgement of others; 0 is well.",
      standing.healthScore,
    ),
    counter(
      "hedgerow_cluster_node_stalls_total",
      "How often timers ran late: the event loop was blocked, or the process stopped.",
      figures.stalls.count,
    ),
    counter(
      "hedgerow_cluster_node_stalled_seconds_total",
      "By how much timers ran late in all.",
      figures.stalls.ms / 1e3,
    ),
  ];
}
