import { posix } from "node:path";
import { type Finding, importsOf, type Source } from "./sources.ts";

/** Folders and files of src, low to high. Each imports only what stands below it, and itself. */
const RANKS: readonly (readonly string[])[] = [
  ["errors.ts", "gen", "shard"],
  ["runtime"],
  ["observe"],
  ["store"],
  ["rpc"],
  ["client"],
  ["lock"],
  ["members"],
  ["log"],
  ["messaging"],
  ["semaphore"],
  ["placement"],
  ["spill"],
  ["node"],
  ["http"],
  ["sidecar"],
  ["cli"],
  ["index.ts", "main.ts"],
];

/** Packages that only one folder may know. */
const OWNERS: Readonly<Record<string, string>> = {
  "@google-cloud/spanner": "src/store/spanner/",
};

function rankOf(part: string): number {
  return RANKS.findIndex((parts) => parts.includes(part));
}

/** `src/lock/lease.ts` belongs to `lock`, `src/errors.ts` to itself. */
function partOf(path: string): string {
  return path.split("/")[1] as string;
}

/** The file that a relative import means; null for a package. */
function resolved(from: string, specifier: string): string | null {
  return specifier.startsWith(".") ? posix.join(posix.dirname(from), specifier) : null;
}

/** Imports that point up or sideways, or leave src. */
export function wrongDirections(sources: readonly Source[]): Finding[] {
  const findings: Finding[] = [];
  for (const source of sources) {
    const own = partOf(source.path);
    const report = (problem: string) => findings.push({ path: source.path, problem });
    if (rankOf(own) < 0) report(`${own} has no rank: give it one in test/house/imports.ts`);
    for (const specifier of importsOf(source)) {
      const target = resolved(source.path, specifier);
      if (target === null || target === "package.json") continue;
      if (!target.startsWith("src/")) {
        report(`imports ${target}: nothing outside of src may be needed`);
      } else if (partOf(target) !== own && rankOf(partOf(target)) >= rankOf(own)) {
        report(`imports ${target}, which stands above it or beside it`);
      } else if (!/\.\w+$/.test(specifier)) {
        report(`imports ${specifier} without its file extension`);
      }
    }
  }
  return findings;
}

/** Files that import each other in a ring, types included. */
export function cycles(sources: readonly Source[]): Finding[] {
  const imports = new Map(
    sources.map((source) => [
      source.path,
      importsOf(source).flatMap((specifier) => resolved(source.path, specifier) ?? []),
    ]),
  );
  const findings: Finding[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      findings.push({ path, problem: `a ring: ${[...trail.slice(start), path].join(" -> ")}` });
    } else if (!done.has(path)) {
      for (const next of imports.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    }
  };
  for (const path of imports.keys()) visit(path, []);
  return findings;
}

/** Packages imported elsewhere than in the folder that owns them. */
export function foreignPackages(sources: readonly Source[]): Finding[] {
  return sources.flatMap((source) =>
    importsOf(source).flatMap((specifier) => {
      const name = Object.keys(OWNERS).find(
        (owned) => specifier === owned || specifier.startsWith(`${owned}/`),
      );
      if (name === undefined || source.path.startsWith(OWNERS[name] as string)) return [];
      return { path: source.path, problem: `imports ${name}: only ${OWNERS[name]} may` };
    }),
  );
}
