import type { CallCount } from "./call-counts.ts";
import { Histogram } from "./histogram.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels: Labels;
  readonly value: number | Histogram;
}

/** A value without labels, or one with them. */
export type Value = number | Histogram | Sample;

/** One metric, as it is at the moment. */
export interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly samples: readonly Sample[];
}

/** What only grows until the process ends. Its name ends in `_total`. */
export function counter(name: string, help: string, ...values: Value[]): Family {
  return { name, type: "counter", help, samples: values.map(sampleOf) };
}

/** What goes up and down. */
export function gauge(name: string, help: string, ...values: Value[]): Family {
  return { name, type: "gauge", help, samples: values.map(sampleOf) };
}

export function histogram(name: string, help: string, ...values: Value[]): Family {
  return { name, type: "histogram", help, samples: values.map(sampleOf) };
}

/** One sample for each value of a label. */
export function by(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([text, value]) => ({ labels: { [label]: text }, value }));
}

/** How often calls ended in each way: with `ok`, or with the code of an error. */
export function outcomes(labels: Labels, count: Pick<CallCount, "ok" | "errors">): Sample[] {
  return by("code", { ok: count.ok, ...Object.fromEntries(count.errors) }).map((sample) => ({
    ...sample,
    labels: { ...labels, ...sample.labels },
  }));
}

function sampleOf(value: Value): Sample {
  const bare = typeof value === "number" || value instanceof Histogram;
  return bare ? { labels: {}, value } : value;
}
