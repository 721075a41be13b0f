import { join } from "node:path";

const root = join(import.meta.dir, "../..");

/** A file of the repository: `path` from its root. */
export interface Source {
  readonly path: string;
  readonly text: string;
}

/** A breach of a house rule: where, and what to do about it. */
export interface Finding {
  readonly path: string;
  readonly problem: string;
}

/** The TypeScript of the given top folders, without generated code. */
export async function sourcesOf(...folders: string[]): Promise<Source[]> {
  const sources: Source[] = [];
  for (const folder of folders) {
    for await (const file of new Bun.Glob("**/*.{ts,tsx}").scan({ cwd: join(root, folder) })) {
      if (!file.startsWith("gen/")) sources.push(await sourceAt(`${folder}/${file}`));
    }
  }
  return sources.sort((a, b) => (a.path < b.path ? -1 : 1));
}

export async function sourceAt(path: string): Promise<Source> {
  const text = await Bun.file(join(root, path)).text();
  return { path, text: text.replace(/^#!/, "//") }; // the parser knows no line for the shell
}

/** Where `text` first matches, as `path:line`. */
export function locate(source: Source, match: RegExp): string {
  const index = source.text.search(match);
  if (index < 0) return source.path;
  return `${source.path}:${source.text.slice(0, index).split("\n").length}`;
}

const parsers = {
  ts: new Bun.Transpiler({ loader: "ts" }),
  tsx: new Bun.Transpiler({ loader: "tsx" }),
};

export function loaderOf(source: Source): "ts" | "tsx" {
  return source.path.endsWith("x") ? "tsx" : "ts";
}

/**
 * What a file imports, types included. The parser drops imports of types alone, so they are given to
 * it as imports of values.
 */
export function importsOf(source: Source): string[] {
  const asValues = source.text.replace(
    /^(import|export) (type )?(\{[^}]*\}|\*|\w+ from)/gm,
    (statement) => statement.replace(/\btype (?=[\w{*])/g, ""),
  );
  const found = parsers[loaderOf(source)].scanImports(asValues).map((each) => each.path);
  const inTypes = source.text.matchAll(/\bimport\("([^"]+)"\)/g);
  return [...new Set([...found, ...[...inTypes].map((match) => match[1] as string)])];
}
