import { type Finding, locate, type Source } from "./sources.ts";

const MAX_LINES = 400;

export function longFiles(sources: readonly Source[]): Finding[] {
  return sources.flatMap((source) => {
    const lines = source.text.split("\n").length - 1;
    if (lines <= MAX_LINES) return [];
    return { path: source.path, problem: `${lines} lines, at most ${MAX_LINES}: part it` };
  });
}

// Written apart, so that this file itself holds none.
const LEFT_FOR_LATER = new RegExp(
  `\\b(${["TO" + "DO", "FIX" + "ME", "X".repeat(3)].join("|")})\\b`,
);

export function leftForLater(sources: readonly Source[]): Finding[] {
  return matches(sources, LEFT_FOR_LATER, "leaves something for later: do it or drop it");
}

const MACHINE_PATH = /(?<![\w./}])\/(work|root|tmp|home\/\w+)\b/;

export function machinePaths(sources: readonly Source[]): Finding[] {
  return matches(sources, MACHINE_PATH, "names a path of one machine: ask the system or an option");
}

function matches(sources: readonly Source[], pattern: RegExp, problem: string): Finding[] {
  return sources
    .filter((source) => pattern.test(source.text))
    .map((source) => ({ path: locate(source, pattern), problem }));
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Dependencies that are not pinned to one version. */
export function looseVersions(manifest: Manifest): string[] {
  return Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })
    .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    .map(([name, version]) => `${name}@${version}`);
}
