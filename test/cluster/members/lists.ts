// What nodes say of the members that they know. Imports nothing of src.
import { parseExposition, sampleOf } from "../../observe/exposition.ts";
import type { Node } from "../processes.ts";

export interface Listed {
  readonly address: string;
  readonly incarnation: string;
  /** viewer, participant, terminating, or suspect. */
  readonly state: string;
}

export async function listOf(node: Node): Promise<Listed[]> {
  const status = await node.status();
  if (status === null) throw new Error(`${node.address} does not answer`);
  return (status.members ?? []).map(({ address, incarnation, state }) => {
    return { address, incarnation, state };
  });
}

export async function knows(node: Node, address: string): Promise<boolean> {
  return (await listOf(node)).some((member) => member.address === address);
}

/** Whether all of them answer, and list exactly all of them, as participants and by the same incarnations. */
export async function isWhole(nodes: readonly Node[]): Promise<boolean> {
  const lists = await Promise.all(nodes.map((node) => listOf(node).catch(() => [])));
  const addresses = nodes.map(({ address }) => address).sort();
  const first = JSON.stringify(lists[0]);
  return lists.every((list) => {
    const listed = list.map(({ address }) => address).sort();
    const takePart = list.every(({ state }) => state === "participant");
    const same = JSON.stringify(list) === first;
    return takePart && same && JSON.stringify(listed) === JSON.stringify(addresses);
  });
}

/** A metric of membership, `cluster_` and what follows, with its labels as they are written. */
export type Metrics = (name: string, labels?: string) => number;

export async function metricsOf(node: Node): Promise<Metrics> {
  const response = await fetch(`${node.url}/metrics`, { signal: AbortSignal.timeout(5_000) });
  const families = parseExposition(await response.text());
  return (name, labels) => sampleOf(families, `hedgerow_${name}`, labels);
}

const CHANGES = ["node_join", "node_leave", "node_update", "node_conflict"] as const;

/** How often each node's list has changed since it started, however shortly. */
export async function changesOf(nodes: readonly Node[]): Promise<Record<string, number[]>> {
  const changes = nodes.map(async (node): Promise<[string, number[]]> => {
    const metrics = await metricsOf(node);
    const counts = CHANGES.map((event) => {
      return metrics("cluster_node_gossip_received_events_total", `{event="${event}"}`);
    });
    return [node.address, counts];
  });
  return Object.fromEntries(await Promise.all(changes));
}

/** Probes that were not answered in time, of all nodes together. */
export async function lateProbes(nodes: readonly Node[]): Promise<number> {
  const all = await Promise.all(nodes.map(metricsOf));
  const of = (metrics: Metrics, outcome: string) =>
    metrics("cluster_node_gossip_probes_total", `{outcome="${outcome}"}`);
  return all.reduce((sum, one) => sum + of(one, "late") + of(one, "unanswered"), 0);
}
