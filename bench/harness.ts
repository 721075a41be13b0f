/** Measured values of one round, by metric. */
export type Sample = Readonly<Record<string, number>>;

export interface Metric {
  readonly key: string;
  readonly title: string;
  readonly digits: number;
}

/** Something that is measured beside others. */
export interface Contender {
  readonly name: string;
  /** `limit` is what the machine can do; the ratios are of it. */
  readonly role: "limit" | "ours" | "peer";
  /** Throws NotHere where the machine lacks what it needs. */
  start(): Promise<Running>;
}

export interface Running extends AsyncDisposable {
  measure(seconds: number): Promise<Sample>;
}

/** A contender that cannot be measured on this machine; the message says how it could be. */
export class NotHere extends Error {}

/** A promise of ours, judged by the medians. */
export interface Target {
  readonly text: string;
  judge(rows: readonly Row[]): { readonly figure: number; readonly met: boolean } | null;
}

/** One table: contenders that are measured alternately, in the same minutes. */
export interface Case {
  readonly title: string;
  /** The ratios are of the first one. */
  readonly metrics: readonly Metric[];
  readonly contenders: readonly Contender[];
  readonly targets: readonly Target[];
  /** Measured before the first round and thrown away. Default 0.5 s; 0 for none. */
  readonly warmUpSeconds?: number;
}

export interface Benchmark {
  readonly summary: string;
  readonly cases: readonly Case[];
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Row {
  readonly name: string;
  readonly role: Contender["role"];
  /** Why it was not measured. */
  readonly absent?: string;
  readonly samples: readonly Sample[];
  readonly spread: Readonly<Record<string, Spread>>;
  /** Median of the first metric over the limit's. */
  readonly ratio?: number;
}

export interface Verdict {
  readonly text: string;
  readonly figure: number | null;
  readonly met: boolean | null;
}

export interface CaseResult {
  readonly title: string;
  readonly metrics: readonly Metric[];
  readonly rows: readonly Row[];
  readonly targets: readonly Verdict[];
}

export interface RunOptions {
  readonly rounds: number;
  /** Of each contender in each round. */
  readonly seconds: number;
}

/** Starts all contenders of a case, measures them in turn, round after round, and stops them. */
export async function runCase(subject: Case, options: RunOptions): Promise<CaseResult> {
  await using stack = new AsyncDisposableStack();
  const entries: { contender: Contender; running: Running | string; samples: Sample[] }[] = [];
  for (const contender of subject.contenders) {
    const running = await startOrReason(contender);
    if (typeof running !== "string") stack.use(running);
    entries.push({ contender, running, samples: [] });
  }
  const warmUpSeconds = subject.warmUpSeconds ?? 0.5;
  for (let round = warmUpSeconds > 0 ? -1 : 0; round < options.rounds; round++) {
    for (const { running, samples } of entries) {
      if (typeof running === "string") continue;
      const sample = await running.measure(round < 0 ? warmUpSeconds : options.seconds);
      if (round >= 0) samples.push(sample);
    }
  }
  const rows = withRatios(
    entries.map(({ contender, running, samples }) => ({
      name: contender.name,
      role: contender.role,
      ...(typeof running === "string" ? { absent: running } : {}),
      samples,
      spread: spreadOf(samples, subject.metrics),
    })),
    subject.metrics[0]?.key ?? "",
  );
  const targets = subject.targets.map((target) => {
    const verdict = target.judge(rows);
    return { text: target.text, figure: verdict?.figure ?? null, met: verdict?.met ?? null };
  });
  return { title: subject.title, metrics: subject.metrics, rows, targets };
}

async function startOrReason(contender: Contender): Promise<Running | string> {
  try {
    return await contender.start();
  } catch (error) {
    if (error instanceof NotHere) return error.message;
    throw error;
  }
}

function spreadOf(samples: readonly Sample[], metrics: readonly Metric[]): Record<string, Spread> {
  if (samples.length === 0) return {};
  return Object.fromEntries(
    metrics.map(({ key }) => {
      const sorted = samples.map((sample) => sample[key] ?? Number.NaN).sort((a, b) => a - b);
      return [key, { median: middle(sorted), min: sorted[0], max: sorted.at(-1) } as Spread];
    }),
  );
}

function middle(sorted: readonly number[]): number {
  const half = sorted.length >> 1;
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

function withRatios(rows: readonly Row[], key: string): Row[] {
  const limit = rows.find((row) => row.role === "limit")?.spread[key]?.median;
  return rows.map((row) => {
    const own = row.spread[key]?.median;
    return limit === undefined || own === undefined ? row : { ...row, ratio: own / limit };
  });
}
