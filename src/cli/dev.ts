import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askStatus } from "./client.ts";
import { DEFAULT_DISK_BYTES, defaultMemoryBytes } from "../node/spill-room.ts";
import { NO_STORE } from "../store/open.ts";
import { command } from "./command.ts";
import { ChildNode } from "./dev/child.ts";
import { nodeEnvironment, planNodes, serveArguments } from "./dev/plan.ts";
import { checkPortsFree } from "./dev/ports.ts";
import type { NodeRow } from "./dev/rows.ts";
import { devView } from "./dev/view.ts";
import { finalRows, startFailed, watchNodes } from "./dev/watch.ts";
import { JSON_FLAG, SERVE_FLAGS } from "./flags.ts";
import * as values from "./values.ts";

const CLUSTER = "Cluster";

/** A node that does not answer within this many milliseconds is shown as silent. */
const ASK_TIMEOUT_MS = 1_000;

export default command({
  flags: {
    nodes: {
      schema: values.integer(1, 20),
      value: "N",
      fallback: "3",
      section: CLUSTER,
      typedOnly: true,
      help: "how many nodes",
    },
    httpPort: {
      schema: values.integer(1, 65_535),
      value: "PORT",
      fallback: "9090",
      section: CLUSTER,
      typedOnly: true,
      help: "http port of the first node; the others count up",
    },
    peerPort: {
      schema: values.integer(1, 65_535),
      value: "PORT",
      fallback: "8080",
      section: CLUSTER,
      typedOnly: true,
      help: "peer port of the first node; the others count up",
    },
    grpcPort: {
      schema: values.optionalInteger(1, 65_535),
      value: "PORT",
      fallback: "",
      section: CLUSTER,
      typedOnly: true,
      help: "grpc port of the first node; the others count up; empty: no gRPC",
    },
    store: {
      schema: values.optionalStoreUrl,
      value: "URL",
      fallback: "",
      section: CLUSTER,
      typedOnly: true,
      help: "their database, as serve names it; empty: a temporary SQLite file, removed at the end",
    },
    lease: {
      schema: values.duration(2000),
      value: "DURATION",
      fallback: "5s",
      section: CLUSTER,
      typedOnly: true,
      help: "how long a leader that died goes on counting as one, 2s at least",
    },
    keepVersions: { ...SERVE_FLAGS.keepVersions, section: CLUSTER, typedOnly: true },
    keepAge: { ...SERVE_FLAGS.keepAge, section: CLUSTER, typedOnly: true },
    spillMemory: {
      ...SERVE_FLAGS.spillMemory,
      section: CLUSTER,
      typedOnly: true,
      help: "memory of each node for spilled records; empty: of half of what is free an equal share",
    },
    spillDisk: {
      ...SERVE_FLAGS.spillDisk,
      section: CLUSTER,
      typedOnly: true,
      help: "the same of the disk; 0: none",
    },
    ...JSON_FLAG,
  },
  async run(context, config) {
    // What can be refused is refused before anything is there to clean up.
    const planned = planNodes(config.nodes, config);
    checkPortsFree(planned);
    const temporary = config.store === null ? await mkdtemp(join(tmpdir(), "hedgerow-dev-")) : null;
    const store = config.store ?? `sqlite:${join(temporary ?? "", "hedgerow.db")}`;
    const children: ChildNode[] = [];
    const removeTemporary = () => {
      if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
    };
    const killAll = () => {
      for (const child of children) child.kill();
      removeTemporary();
    };
    context.force.addEventListener("abort", killAll, { once: true });
    const view = devView(context.stdout, config.json);
    const ask = (url: string) => askStatus(context, url, {}, ASK_TIMEOUT_MS);
    let failed: NodeRow | null = null;
    try {
      const environment = nodeEnvironment(context.environment);
      const spillMemoryBytes =
        config.spillMemory ?? Math.floor(defaultMemoryBytes() / config.nodes);
      for (const node of planned) {
        const argv = [
          ...context.program,
          ...serveArguments(node, {
            store,
            leaseMs: config.lease,
            firstPeerPort: config.peerPort,
            keepVersions: config.keepVersions,
            keepAgeMs: config.keepAge,
            spillMemoryBytes,
            spillDiskBytes: config.spillDisk ?? DEFAULT_DISK_BYTES,
          }),
        ];
        children.push(new ChildNode(node, argv, environment, context.runtime.clock));
      }
      failed = await watchNodes(context, children, view, ask, store === NO_STORE);
    } finally {
      await Promise.all(children.map((child) => child.stop()));
      view.update(finalRows(children), failed?.note);
      removeTemporary();
    }
    if (failed !== null) throw startFailed(failed);
  },
});
