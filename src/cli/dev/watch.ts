import { HedgerowError } from "../../errors.ts";
import type { StatusResponse } from "../../gen/hedgerow/v1/hedgerow_pb.ts";
import { sleep } from "../../runtime/operation.ts";
import type { CliContext } from "../context.ts";
import type { ChildNode } from "./child.ts";
import { DEV_HOST, type PlannedNode } from "./plan.ts";
import { httpUrl, type NodeRow, nodeRow } from "./rows.ts";
import type { DevView } from "./view.ts";

const POLL_INTERVAL_MS = 250;

/** Asks the node at `url`; null if it does not answer in time. */
export type AskStatus = (url: string) => Promise<StatusResponse | null>;

/**
 * Shows the nodes until `context.stop` aborts, or a node ends before all are up: gives that one's row, else
 * null. Throws `unavailable` once all have ended.
 */
export async function watchNodes(
  context: CliContext,
  children: readonly ChildNode[],
  view: DevView,
  ask: AskStatus,
  leaderless: boolean,
): Promise<NodeRow | null> {
  const answered = new Set<ChildNode>();
  let up = false;
  while (!context.stop.aborted) {
    const rows = await Promise.all(
      children.map((child) => observe(child, ask, answered, leaderless)),
    );
    if (context.stop.aborted) return null;
    const ended = rows.filter((row) => row.state === "dead");
    if (!up && ended[0] !== undefined) return ended[0];
    view.update(rows);
    if (ended.length === rows.length) throw new HedgerowError("unavailable", "all nodes have died");
    if (!up && rows.every((row) => row.state === "ready" && row.members === rows.length)) {
      up = true;
      view.say(introduction(children, leaderless));
    }
    await sleep(context.runtime.clock, POLL_INTERVAL_MS, context.stop).catch(() => {
      // The signal ends the loop.
    });
  }
  return null;
}

/** The rows as they stand at the end, without asking anybody. */
export function finalRows(children: readonly ChildNode[]): NodeRow[] {
  return children.map((child) =>
    nodeRow({
      planned: child.node,
      pid: child.pid,
      status: null,
      answeredBefore: true,
      exit: child.exit,
      stopping: true,
      lastLine: child.lastLine,
      leaderless: false,
    }),
  );
}

async function observe(
  child: ChildNode,
  ask: AskStatus,
  answered: Set<ChildNode>,
  leaderless: boolean,
): Promise<NodeRow> {
  const status = child.exit === null ? await ask(httpUrl(child.node)) : null;
  if (status !== null) answered.add(child);
  return nodeRow({
    planned: child.node,
    pid: child.pid,
    status,
    answeredBefore: answered.has(child),
    exit: child.exit,
    stopping: false,
    lastLine: child.lastLine,
    leaderless,
  });
}

export function startFailed({ node, note }: NodeRow): HedgerowError {
  return new HedgerowError("unavailable", `node ${node} did not start: ${note}`);
}

function introduction(children: readonly ChildNode[], leaderless: boolean): string {
  const ports = children.map(({ node }) => node.httpPort);
  return [
    `${children.length} ${children.length === 1 ? "node is" : "nodes are"} up: ${children.map(({ node }) => httpUrl(node)).join(" ")}`,
    ...grpcAddresses(children.map(({ node }) => node)),
    "Try, in another terminal:",
    ...(leaderless ? [broadcastExample(ports[0])] : examples(ports)).map((line) => `  ${line}`),
    "Ctrl-C stops all.",
    "",
  ].join("\n");
}

function grpcAddresses(nodes: readonly PlannedNode[]): string[] {
  const ports = nodes.flatMap(({ grpcPort }) => grpcPort ?? []);
  return ports.length === 0
    ? []
    : [`gRPC: ${ports.map((port) => `${DEV_HOST}:${port}`).join(" ")}`];
}

function broadcastExample(httpPort = 0): string {
  return `curl localhost:${httpPort}/broadcast -d "hello-all"`;
}

/** What the README shows as well: each at another node, as any node takes any request. */
export function examples(httpPorts: readonly number[]): string[] {
  return [
    'put -d "samplekey some value"',
    'get -d "samplekey"',
    'send -d "hello-world"',
    'broadcast -d "hello-all"',
  ].map((request, index) => `curl localhost:${httpPorts[index % httpPorts.length]}/${request}`);
}
