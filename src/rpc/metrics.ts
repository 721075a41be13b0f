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

/** Messages that were written or read, by the one who asks and by the one who is asked. */
interface Messages {
  count: number;
  bytes: number;
  failed: number;
}

interface TwoWays {
  readonly tx: Messages;
  readonly rx: Messages;
  underWay: number;
}

function sumOf(traffic: Traffic, methods: readonly DescMethod[]): TwoWays {
  const tx = { count: 0, bytes: 0, failed: 0 };
  const rx = { count: 0, bytes: 0, failed: 0 };
  const sum = { tx, rx, underWay: 0 };
  const add = (one: MethodTraffic, requests: Messages, replies: Messages) => {
    requests.count += one.begun;
    requests.bytes += one.requestBytes;
    requests.failed += one.failures;
    replies.count += one.ok;
    replies.bytes += one.replyBytes;
    sum.underWay += one.underWay;
  };
  for (const method of methods) {
    add(traffic.asked(method), tx, rx);
    add(traffic.served(method), rx, tx);
  }
  return sum;
}

/** ckit sends lists over streams and all else in packets; here both are calls. */
function gossipMetrics(packets: TwoWays, streams: TwoWays): Family[] {
  return [
    ...messageMetrics("hedgerow_cluster_transport", "Pings and answers to them", packets),
    ...messageMetrics("hedgerow_cluster_transport_stream", "Lists and answers to them", streams),
    gauge(
      "hedgerow_cluster_transport_streams",
      "Exchanges of lists of members that are under way.",
      streams.underWay,
    ),
  ];
}

function messageMetrics(prefix: string, what: string, { tx, rx }: TwoWays): Family[] {
  const bytes = "bytes without what carries them";
  return [
    counter(`${prefix}_rx_packets_total`, `${what}, read.`, rx.count),
    counter(`${prefix}_rx_bytes_total`, `${what}, read: ${bytes}.`, rx.bytes),
    counter(`${prefix}_rx_packets_failed_total`, `${what}, read and refused.`, rx.failed),
    counter(`${prefix}_tx_packets_total`, `${what}, written.`, tx.count),
    counter(`${prefix}_tx_bytes_total`, `${what}, written: ${bytes}.`, tx.bytes),
    counter(`${prefix}_tx_packets_failed_total`, `${what}, written in vain.`, tx.failed),
  ];
}

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
