import { FAST_PROFILE, type GossipTiming, LAN_PROFILE } from "../src/members/timing.ts";
import {
  detect,
  falseDeaths,
  heal,
  idle,
  percentile,
} from "../test/simulation/swarm/experiments.ts";
import type { Benchmark, Case, Contender, Metric, Sample, Target } from "./harness.ts";
import { alwaysAtMost } from "./targets.ts";

/** As grafana/ckit sets memberlist up: DefaultLANConfig with slower probes. */
const CKIT: GossipTiming = { ...LAN_PROFILE, probeIntervalMs: 5_000, probeTimeoutMs: 2_000 };

const OURS = "ours";
const PROFILES: Readonly<Record<string, GossipTiming>> = {
  [OURS]: FAST_PROFILE,
  "memberlist's LAN constants": LAN_PROFILE,
  "ckit's constants": CKIT,
};

/** One message in a hundred is lost. */
const LOSS = 0.01;
const HOUR_MS = 3_600_000;
/** Partitions last this long, and have this long to heal. */
const CUT_MS = 60_000;
const HEALED_WITHIN_MS = 600_000;
const IDLE_MS = 300_000;

/** Of the crashes and hours that ours is measured by, the others, which are slower, get this share. */
const PEER_SHARE = 0.1;

/** Each round is a third of the whole, with a seed of its own: three rounds are the figures promised. */
interface Scale {
  readonly nodes: number;
  readonly crashes: number;
  readonly lossMs: number;
}

const SCALES: readonly Scale[] = [
  { nodes: 151, crashes: 334, lossMs: (4 * HOUR_MS) / 3 },
  { nodes: 1_000, crashes: 334, lossMs: HOUR_MS / 3 },
];

/** `share` of all that there is to do. */
type Experiment = (timing: GossipTiming, seed: number, share: number) => Sample;

/** The same code on the same simulated network; only the constants differ. */
function contenders(run: Experiment): Contender[] {
  return Object.entries(PROFILES).map(([name, timing]) => ({
    name,
    role: name === OURS ? "ours" : "peer",
    start: async () => {
      let seed = 0;
      return {
        measure: async () => run(timing, ++seed, name === OURS ? 1 : PEER_SHARE),
        [Symbol.asyncDispose]: async () => {},
      };
    },
  }));
}

function experiment(title: string, metrics: Metric[], targets: Target[], run: Experiment): Case {
  return { title, metrics, targets, contenders: contenders(run), warmUpSeconds: 0 };
}

const seconds = (key: string, title: string): Metric => ({ key, title, digits: 2 });

function detection({ nodes, crashes }: Scale, boundSeconds: number): Case {
  const metrics = [
    seconds("p50", "p50 s"),
    seconds("p99", "p99 s"),
    seconds("max", "max s"),
    { key: "falseDeaths", title: "false deaths", digits: 0 },
  ];
  const title = `a crash is known to all, ${nodes} nodes, ${crashes} crashes`;
  const target = alwaysAtMost(OURS, boundSeconds, "p99");
  return experiment(title, metrics, [target], (timing, seed, share) => {
    const { ms, falseDeaths: wrong } = detect({ seed, nodes, timing }, Math.ceil(share * crashes));
    const at = (rank: number) => percentile(ms, rank) / 1e3;
    return { p50: at(0.5), p99: at(0.99), max: at(1), falseDeaths: wrong.length };
  });
}

function losing({ nodes, lossMs }: Scale): Case {
  const title = `1% of messages lost, ${nodes} nodes, ${(lossMs / 60_000).toFixed(0)} minutes`;
  const metrics = [{ key: "falseDeaths", title: "false deaths", digits: 0 }];
  const target = alwaysAtMost(OURS, 0, "falseDeaths");
  return experiment(title, metrics, [target], (timing, seed, share) => ({
    falseDeaths: falseDeaths({ seed, nodes, timing }, LOSS, share * lossMs).length,
  }));
}

function healing({ nodes }: Scale): Case {
  const title = `two halves are one again, ${nodes} nodes`;
  return experiment(
    title,
    [seconds("healed", "s")],
    [alwaysAtMost(OURS, 10, "healed")],
    (timing, seed) => ({
      healed: heal({ seed, nodes, timing }, CUT_MS, HEALED_WITHIN_MS) / 1e3,
    }),
  );
}

function quiet({ nodes }: Scale): Case {
  const metrics = [
    { key: "besides", title: "besides probes", digits: 1 },
    { key: "probes", title: "probes", digits: 1 },
  ];
  return experiment(
    `idle, payload bytes per second and node, ${nodes} nodes`,
    metrics,
    [alwaysAtMost(OURS, 50, "besides")],
    (timing, seed) => ({ ...idle({ seed, nodes, timing }, IDLE_MS) }),
  );
}

const [small, large] = SCALES as [Scale, Scale];

export const benchmark: Benchmark = {
  summary:
    "membership simulated: detection of crashes, false deaths, healing of partitions, traffic",
  cases: [
    quiet(small),
    healing(small),
    detection(small, 5),
    losing(small),
    quiet(large),
    healing(large),
    detection(large, 8),
    losing(large),
  ],
};
