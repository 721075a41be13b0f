import type { DescMethod } from "@bufbuild/protobuf";
import { GossipService } from "../gen/hedgerow/v1/gossip_pb.ts";
import { by, counter, type Family, gauge, outcomes } from "../observe/families.ts";
import type { MethodTraffic, StreamTraffic, Traffic } from "./traffic.ts";

const { ping, pingIndirect, sync } = GossipService.method;

/** What travels between nodes: gossip by ckit's names with our prefix, and apart from it all other calls. */
export function trafficMetrics(traffic: Traffic): Family[] {
  const calls = traffic.methods.filter(({ parent }) => parent.typeName !== GossipService.typeName);
  return [
    ...gossipMetrics(sumOf(traffic, [ping, pingIndirect]), sumOf(traffic, [sync])),
    ...callMetrics(traffic, calls),
    ...streamMetrics(traffic.streams),
  ];
}

/** Messages that were written and read, as asker and as the one who is asked. */
interface Messages {
  readonly tx: { readonly count: number; readonly bytes: number; readonly failed: number };
  readonly rx: { readonly count: number; readonly bytes: number; readonly failed: number };
  readonly underWay: number;
}

function sumOf(traffic: Traffic, methods: readonly DescMethod[]): Messages {
  const asked = methods.map((method) => traffic.asked(method));
  const served = methods.map((method) => traffic.served(method));
  const sum = (all: readonly MethodTraffic[], value: (one: MethodTraffic) => number) =>
    all.reduce((total, one) => total + value(one), 0);
  const both = (
    ofAsked: (one: MethodTraffic) => number,
    ofServed: (one: MethodTraffic) => number,
  ) => sum(asked, ofAsked) + sum(served, ofServed);
  return {
    tx: {
      count: both(
        ({ begun }) => begun,
        ({ ok }) => ok,
      ),
      bytes: both(
        ({ requestBytes }) => requestBytes,
        ({ replyBytes }) => replyBytes,
      ),
      failed: sum(asked, ({ failures }) => failures),
    },
    rx: {
      count: both(
        ({ ok }) => ok,
        ({ begun }) => begun,
      ),
      bytes: both(
        ({ replyBytes }) => replyBytes,
        ({ requestBytes }) => requestBytes,
      ),
      failed: sum(served, ({ failures }) => failures),
    },
    underWay: both(
      ({ underWay }) => underWay,
      ({ underWay }) => underWay,
    ),
  };
}

/** ckit sends lists over streams and all else in packets; here both are calls. */
function gossipMetrics(packets: Messages, streams: Messages): Family[] {
  const ways = { rx: "read", tx: "written" } as const;
  const kinds = { "": packets, stream_: streams } as const;
  const what = { "": "Pings and answers to them", stream_: "Lists of members and answers to them" };
  const families = Object.entries(kinds).flatMap(([kind, messages]) => {
    return Object.entries(ways).flatMap(([way, done]) => {
      const { count, bytes, failed } = messages[way as keyof typeof ways];
      const name = `hedgerow_cluster_transport_${kind}${way}`;
      const said = `${what[kind as keyof typeof what]} that were ${done}`;
      return [
        counter(`${name}_packets_total`, `${said}.`, count),
        counter(`${name}_bytes_total`, `${said}, bytes without what carries them.`, bytes),
        counter(`${name}_packets_failed_total`, FAILED[way as keyof typeof FAILED](said), failed),
      ];
    });
  });
  return [
    ...families,
    gauge(
      "hedgerow_cluster_transport_streams",
      "Exchanges of lists that are under way.",
      streams.underWay,
    ),
  ];
}

const FAILED = {
  rx: (said: string) => `${said} and refused.`,
  tx: (said: string) => `${said} in vain.`,
} as const;

function callMetrics(traffic: Traffic, methods: readonly DescMethod[]): Family[] {
  const { tx, rx, underWay } = sumOf(traffic, methods);
  return [
    counter(
      "hedgerow_peer_calls_total",
      "Calls of this node to others, gossip aside, by method and by how they ended.",
      ...methods.flatMap((method) => outcomes({ method: method.name }, traffic.asked(method))),
    ),
    counter(
      "hedgerow_peer_calls_served_total",
      "Calls of other nodes to this one, gossip aside, by method and by how they ended.",
      ...methods.flatMap((method) => outcomes({ method: method.name }, traffic.served(method))),
    ),
    gauge(
      "hedgerow_peer_calls_in_flight",
      "Calls to and from other nodes, gossip aside, that have not ended.",
      underWay,
    ),
    counter(
      "hedgerow_peer_rx_bytes_total",
      "Messages from other nodes, gossip aside, bytes without what carries them.",
      rx.bytes,
    ),
    counter(
      "hedgerow_peer_tx_bytes_total",
      "Messages to other nodes, gossip aside, bytes without what carries them.",
      tx.bytes,
    ),
    counter(
      "hedgerow_peer_strangers_total",
      "Requests that were refused because they came from nodes of another cluster.",
      traffic.strangers,
    ),
  ];
}

function streamMetrics({ opened, taken, open, rx, tx }: StreamTraffic): Family[] {
  return [
    counter(
      "hedgerow_peer_streams_total",
      "Streams between this node and others, by who opened them.",
      ...by("opener", { self: opened, peer: taken }),
    ),
    gauge(
      "hedgerow_peer_streams_open",
      "Streams to and from other nodes that have not ended.",
      open,
    ),
    counter(
      "hedgerow_peer_stream_messages_total",
      "Messages of streams, read (rx) and written (tx).",
      ...by("direction", { rx: rx.messages, tx: tx.messages }),
    ),
    counter(
      "hedgerow_peer_stream_bytes_total",
      "Bytes of those messages.",
      ...by("direction", { rx: rx.bytes, tx: tx.bytes }),
    ),
  ];
}
