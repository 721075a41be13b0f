import type { Config } from "../flag.ts";
import type { MANIFEST_FLAGS } from "./options.ts";

export type ManifestConfig = Config<typeof MANIFEST_FLAGS>;

/** Of the Secret: what holds the clients' tokens. */
export const TOKENS_KEY = "tokens";

/** What all resources of a manifest share, as YAML. */
export interface Names {
  /** Quoted where it would be read as something else: a Deployment may be called `on`. */
  readonly name: string;
  /** Name of the Secret with the clients' tokens. */
  readonly secret: string;
  /** Name and labels under `metadata:`, and the namespace if there is one. */
  readonly metadata: string;
  /** The same for a resource of another name. */
  metadataOf(name: string): string;
  /** The labels that select the pods, at that indent. */
  labels(indent: number): string;
}

export function namesOf({ name, namespace }: ManifestConfig): Names {
  const scalar = Bun.YAML.stringify(name);
  const labels = (indent: number) =>
    lines(indent, ["app.kubernetes.io/name: hedgerow", `app.kubernetes.io/instance: ${scalar}`]);
  const place = namespace === null ? [] : [`namespace: ${JSON.stringify(namespace)}`];
  const metadataOf = (own: string) =>
    lines(2, [`name: ${own}`, ...place, "labels:", `  ${labels(4)}`]);
  const secret = `${name}-clients`;
  return { name: scalar, secret, metadata: metadataOf(scalar), metadataOf, labels };
}

function lines(indent: number, all: readonly string[]): string {
  return all.join(`\n${" ".repeat(indent)}`);
}
