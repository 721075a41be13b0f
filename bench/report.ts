import { availableParallelism, cpus, release, totalmem, type } from "node:os";
import type { CaseResult, Metric, RunOptions, Verdict } from "./harness.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly bun: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    bun: Bun.version,
  };
}

export function machineLine(given: Machine, options: RunOptions): string {
  const { cpu, cores, memoryGiB, kernel, bun } = given;
  const rounds = `${options.rounds} rounds of ${options.seconds} s, alternating; medians (least to most)`;
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, bun ${bun}\n${rounds}`;
}

/** The case as a table: medians, the spread of the first metric, and the share of the limit. */
export function table(result: CaseResult): string {
  const [first, ...others] = result.metrics;
  if (first === undefined) return result.title;
  const header = [
    first.title,
    "least",
    "most",
    ...others.map((metric) => metric.title),
    "of limit",
  ];
  const cells = result.rows.map((row) => {
    const spread = row.spread[first.key];
    if (spread === undefined) return null;
    const figures = [spread.median, spread.min, spread.max].map((value) => show(value, first));
    const rest = others.map((metric) => show(row.spread[metric.key]?.median ?? Number.NaN, metric));
    return [...figures, ...rest, row.ratio?.toFixed(row.ratio < 0.1 ? 3 : 2) ?? ""];
  });
  const widths = header.map((title, column) =>
    Math.max(title.length, ...cells.map((row) => row?.[column]?.length ?? 0)),
  );
  const label = Math.max(result.title.length, ...result.rows.map((row) => row.name.length));
  const line = (name: string, role: string, row: readonly string[]) =>
    [name.padEnd(label), role.padEnd(5), ...row.map((text, i) => text.padStart(widths[i] ?? 0))]
      .join("  ")
      .trimEnd();
  return [
    line(result.title, "", header),
    ...result.rows.map((row, i) =>
      line(row.name, row.role, cells[i] ?? [`not measured: ${row.absent}`]),
    ),
    ...result.targets.map(verdictLine),
  ].join("\n");
}

function show(value: number, { digits }: Metric): string {
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

function verdictLine({ text, figure, met }: Verdict): string {
  if (figure === null) return `  target  ${text}: not measured`;
  return `  target  ${text}: ${figure.toFixed(2)}, ${met ? "met" : "MISSED"}`;
}
