import type { Config } from "../flag.ts";
import type { MANIFEST_FLAGS } from "./options.ts";

export type ManifestConfig = Config<typeof MANIFEST_FLAGS>;

/** What all resources of a manifest share, as YAML. */
export interface Names {
  /** Quoted where it would be read as something else: a Deployment may be called `on`. */
  readonly name: string;
  /** Name and labels under `metadata:`, and the namespace if there is one. */
  readonly metadata: string;
  /** The labels that select the pods, at that indent. */
  labels(indent: number): string;
}

export function namesOf({ name, namespace }: ManifestConfig): Names {
  const scalar = Bun.YAML.stringify(name);
  const labels = (indent: number) =>
    lines(indent, ["app.kubernetes.io/name: hedgerow", `app.kubernetes.io/instance: ${scalar}`]);
  const place = namespace === null ? [] : [`namespace: ${JSON.stringify(namespace)}`];
  const metadata = lines(2, [`name: ${scalar}`, ...place, "labels:", `  ${labels(4)}`]);
  return { name: scalar, metadata, labels };
}

function lines(indent: number, all: readonly string[]): string {
  return all.join(`\n${" ".repeat(indent)}`);
}
