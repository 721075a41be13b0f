// Reads Prometheus' text format as strictly as it is described. Imports nothing of src.

export interface Exposed {
  readonly type: string;
  readonly help: string;
  /** By their labels as written, `{a="b"}`, or "" for none; of histograms with the suffix before it. */
  readonly samples: Map<string, number>;
  /** Names of labels, without a histogram's `le`. */
  readonly labels: Set<string>;
}

const HELP = /^# HELP ([a-z_]+) (.+)$/;
const TYPE = /^# TYPE ([a-z_]+) (counter|gauge|histogram)$/;
const SAMPLE = /^([a-z_]+)(\{.*\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"/g;

/** Throws for whatever is not as the format has it. */
export function parseExposition(text: string): Map<string, Exposed> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, Exposed>();
  let name = "";
  let help = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const described = HELP.exec(line);
    const typed = TYPE.exec(line);
    if (described !== null) {
      [, name = "", help = ""] = described;
      if (families.has(name)) throw new Error(`${name} is there twice`);
    } else if (typed !== null) {
      if (typed[1] !== name) throw new Error(`${typed[1]} has no help`);
      families.set(name, { type: typed[2] as string, help, samples: new Map(), labels: new Set() });
    } else {
      addSample(line, name, families.get(name));
    }
  }
  return families;
}

/** The value of a sample; `labels` as it is written. Throws if it is not there. */
export function sampleOf(families: Map<string, Exposed>, name: string, labels = ""): number {
  const value = families.get(name)?.samples.get(labels);
  if (value === undefined) throw new Error(`no ${name}${labels}`);
  return value;
}

function addSample(line: string, family: string, exposed: Exposed | undefined): void {
  const [, name = "", labels = "", written = ""] = SAMPLE.exec(line) ?? [];
  if (exposed === undefined || !name.startsWith(family)) throw new Error(`stray line: ${line}`);
  const suffix = name.slice(family.length);
  const suffixes = exposed.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
  if (!suffixes.includes(suffix)) throw new Error(`${name} under ${family}`);
  const pairs = [...labels.matchAll(LABEL)];
  const rebuilt = pairs.length === 0 ? "" : `{${pairs.map(([pair]) => pair).join(",")}}`;
  if (rebuilt !== labels) throw new Error(`labels: ${line}`);
  const value = written === "+Inf" ? Infinity : Number(written);
  if (written === "" || Number.isNaN(value)) throw new Error(`value: ${line}`);
  if (exposed.samples.has(suffix + labels)) throw new Error(`twice: ${line}`);
  exposed.samples.set(suffix + labels, value);
  for (const [, label = ""] of pairs) if (label !== "le") exposed.labels.add(label);
}
