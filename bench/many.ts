import { join } from "node:path";
import type { ManyNodes } from "./contenders/many.ts";
import type { Benchmark, Contender } from "./harness.ts";
import { alwaysAtMost } from "./targets.ts";

/** As many as ckit claims 20 MB and 50 B/s for, of each. */
const NODES = 151;
const OURS = "ours, store none";

const script = join(import.meta.dir, "contenders/many.ts");

/** Each round in a process of its own, whose memory is that of the nodes and of the runtime once. */
const nodes: Contender = {
  name: OURS,
  role: "ours",
  start: async () => ({
    async measure(seconds) {
      const argv = [process.execPath, script, String(NODES), String(seconds)];
      const child = Bun.spawn(argv, { stdout: "pipe", stderr: "inherit" });
      const text = await new Response(child.stdout).text();
      if ((await child.exited) !== 0) throw new Error(`${script} failed`);
      const measured = JSON.parse(text) as ManyNodes;
      return { ...measured, withProbes: measured.probes + measured.besides };
    },
    [Symbol.asyncDispose]: async () => {},
  }),
};

export const benchmark: Benchmark = {
  summary: `${NODES} idle nodes in one process, on the network within it: gossip, memory, processor time`,
  cases: [
    {
      title: `${NODES} idle nodes`,
      metrics: [
        { key: "besides", title: "B/s each besides probes", digits: 1 },
        { key: "withProbes", title: "with probes", digits: 1 },
        { key: "megabytes", title: "RSS MB of all", digits: 0 },
        { key: "cpu", title: "of a core", digits: 3 },
        { key: "startMs", title: "start ms", digits: 0 },
      ],
      warmUpSeconds: 0,
      contenders: [nodes],
      targets: [alwaysAtMost(OURS, 50, "besides"), alwaysAtMost(OURS, NODES * 2, "megabytes")],
    },
  ],
};
