// Simulated time: the figures do not depend on the machine, and are the same each time. `--rounds` changes nothing;
// `--seconds 0.2`, a tenth of the default, simulates a tenth as much.
import { FAST_PROFILE, type GossipTiming, LAN_PROFILE } from "../src/members/timing.ts";
import { percentile, type Setting } from "../test/simulation/swarm/experiments.ts";
import type { World } from "./contenders/swarm.ts";
import type { Benchmark, Case, Contender, Metric, Sample, Target } from "./harness.ts";
import { alwaysAtMost } from "./targets.ts";
import { type Shown, showAll } from "./worlds.ts";

/** As grafana/ckit sets memberlist up: DefaultLANConfig with slower probes. */
const CKIT: GossipTiming = { ...LAN_PROFILE, probeIntervalMs: 5_000, probeTimeoutMs: 2_000 };

const OURS = "ours";
/** The same code on the same simulated network; only the constants differ. */
const PROFILES: Readonly<Record<string, GossipTiming>> = {
  [OURS]: FAST_PROFILE,
  "memberlist's LAN constants": LAN_PROFILE,
  "ckit's constants": CKIT,
};

const WHOLE_SECONDS = 2;
/** Ours in so many worlds with a seed each; the others, which need more time to show less, in one. */
const WORLDS = 3;
const HOUR_MS = 3_600_000;
/** One message in a hundred is lost. */
const LOSS = 0.01;
/** Probe intervals that a partition lasts: long enough for all constants to give the other half up. */
const CUT_INTERVALS = 36;
/** It lasts this long at the least. */
const CUT_MS = 60_000;
const HEALED_WITHIN_MS = 600_000;
const IDLE_MS = 300_000;
/** So many messages, of which one goes through the codec. Odd, so that requests and replies take turns. */
const CODEC_EVERY = 97;

interface Scale {
  readonly nodes: number;
  /** In all worlds of ours together, as is `lossMs`. */
  readonly crashes: number;
  /** At most so many probe intervals between two crashes. */
  readonly apartIntervals: number;
  readonly lossMs: number;
  /** At the most, seconds. */
  readonly knownWithin: number;
}

const SCALES: readonly Scale[] = [
  { nodes: 151, crashes: 1_000, apartIntervals: 4, lossMs: 4 * HOUR_MS, knownWithin: 5 },
  { nodes: 1_000, crashes: 1_000, apartIntervals: 2, lossMs: HOUR_MS, knownWithin: 8 },
];

interface Experiment {
  readonly title: string;
  readonly metrics: readonly Metric[];
  readonly targets: readonly Target[];
  /** One of `WORLDS`, scaled down to `share`. */
  world(setting: Setting, share: number): World;
  sample(shown: Shown): Sample;
}

/** All contenders begin at once, when the first is asked for its figures. */
function caseOf(experiment: Experiment, nodes: number): Case {
  let started: ReadonlyMap<string, Promise<Shown>> | undefined;
  const start = (share: number) =>
    new Map(
      Object.entries(PROFILES).map(([name, timing]) => {
        const seeds = Array.from({ length: name === OURS ? WORLDS : 1 }, (_, i) => i + 1);
        const settings = seeds.map((seed) => ({ seed, nodes, timing, codecEvery: CODEC_EVERY }));
        const ours = share * (name === OURS ? 1 : PEER_SHARE);
        return [name, showAll(settings.map((setting) => experiment.world(setting, ours)))];
      }),
    );
  const contender = (name: string): Contender => ({
    name,
    role: name === OURS ? "ours" : "peer",
    start: async () => ({
      measure: async (seconds) => {
        started ??= start(Math.min(1, seconds / WHOLE_SECONDS));
        return experiment.sample((await started.get(name)) ?? {});
      },
      [Symbol.asyncDispose]: async () => {},
    }),
  });
  const { title, metrics, targets } = experiment;
  const contenders = Object.keys(PROFILES).map(contender);
  return { title, metrics, targets, contenders, warmUpSeconds: 0 };
}

/** Of what a world of ours goes through, crashes and hours, the one of the others gets this share. */
const PEER_SHARE = 0.3;

const seconds = (key: string, title: string): Metric => ({ key, title, digits: 2 });
const DEATHS: Metric = { key: "falseDeaths", title: "false deaths", digits: 0 };
const sum = (numbers: readonly number[] = []) => numbers.reduce((total, each) => total + each, 0);

function detection({ nodes, crashes, apartIntervals, knownWithin }: Scale): Experiment {
  return {
    title: `a crash is known to all, ${nodes} nodes, ${crashes} crashes`,
    metrics: [seconds("p99", "p99 s"), seconds("p50", "p50 s"), seconds("max", "max s"), DEATHS],
    targets: [alwaysAtMost(OURS, knownWithin, "p99"), alwaysAtMost(OURS, 0, "falseDeaths")],
    world: (setting, share) => ({
      task: "detect",
      setting,
      crashes: Math.ceil((share * crashes) / WORLDS),
      apartIntervals,
    }),
    sample: ({ detectedMs = [], falseDeaths }) => {
      const ascending = detectedMs.toSorted((a, b) => a - b);
      const at = (rank: number) => percentile(ascending, rank) / 1e3;
      return { p50: at(0.5), p99: at(0.99), max: at(1), falseDeaths: sum(falseDeaths) };
    },
  };
}

function losing({ nodes, lossMs }: Scale): Experiment {
  return {
    title: `1% of messages lost, ${nodes} nodes, ${lossMs / HOUR_MS} h`,
    metrics: [DEATHS],
    targets: [alwaysAtMost(OURS, 0, "falseDeaths")],
    world: (setting, share) => ({
      task: "lose",
      setting,
      loss: LOSS,
      simulatedMs: (share * lossMs) / WORLDS,
    }),
    sample: ({ falseDeaths }) => ({ falseDeaths: sum(falseDeaths) }),
  };
}

function healing({ nodes }: Scale): Experiment {
  return {
    title: `two halves are one again for good, ${nodes} nodes, worst of ${WORLDS}`,
    metrics: [seconds("healed", "s")],
    targets: [alwaysAtMost(OURS, 10, "healed")],
    world: (setting) => ({
      task: "heal",
      setting,
      cutMs: Math.max(CUT_MS, CUT_INTERVALS * setting.timing.probeIntervalMs),
      withinMs: HEALED_WITHIN_MS,
    }),
    sample: ({ healedMs = [] }) => ({ healed: Math.max(...healedMs) / 1e3 }),
  };
}

function quiet({ nodes }: Scale): Experiment {
  const mean = (numbers: readonly number[] = []) => sum(numbers) / numbers.length;
  return {
    title: `idle, payload bytes per second and node, ${nodes} nodes`,
    metrics: [
      { key: "besides", title: "besides probes", digits: 1 },
      { key: "probes", title: "probes", digits: 1 },
    ],
    targets: [alwaysAtMost(OURS, 50, "besides")],
    // Every message is encoded: the bytes are what is asked for.
    world: ({ codecEvery, ...setting }, share) => ({
      task: "idle",
      setting,
      simulatedMs: share * IDLE_MS,
    }),
    sample: ({ probes, besides }) => ({ probes: mean(probes), besides: mean(besides) }),
  };
}

const EXPERIMENTS = [quiet, healing, detection, losing];

export const benchmark: Benchmark = {
  summary:
    "membership simulated: detection of crashes, false deaths, healing of partitions, traffic",
  cases: SCALES.flatMap((scale) => EXPERIMENTS.map((of) => caseOf(of(scale), scale.nodes))),
};
