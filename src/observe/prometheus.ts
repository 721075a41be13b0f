import type { Family, Labels, Sample } from "./families.ts";
import type { Histogram } from "./histogram.ts";

/** Of the text that `prometheusText` gives. */
export const PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Prometheus' text format 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats). */
export function prometheusText(families: readonly Family[]): string {
  return families.map(familyText).join("");
}

function familyText({ name, type, help, samples }: Family): string {
  const head = `# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}\n# TYPE ${name} ${type}\n`;
  return head + samples.map((sample) => sampleText(name, sample)).join("");
}

function sampleText(name: string, { labels, value }: Sample): string {
  if (typeof value === "number") return line(name, labels, value);
  return histogramText(name, labels, value);
}

function histogramText(name: string, labels: Labels, { bounds, counts, sum }: Histogram): string {
  let count = 0;
  let text = "";
  for (const [i, counted] of counts.entries()) {
    count += counted;
    text += line(`${name}_bucket`, { ...labels, le: numberText(bounds[i] ?? Infinity) }, count);
  }
  return text + line(`${name}_sum`, labels, sum) + line(`${name}_count`, labels, count);
}

function line(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  const braced = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
  return `${name}${braced} ${numberText(value)}\n`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
