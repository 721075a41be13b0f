import { expect, test } from "bun:test";
import { cycles, foreignPackages, wrongDirections } from "./imports.ts";
import { importsOf, type Source, sourcesOf } from "./sources.ts";

const file = (path: string, ...lines: string[]): Source => ({ path, text: lines.join("\n") });

test("imports in src point downward", async () => {
  expect(wrongDirections(await sourcesOf("src"))).toEqual([]);
});

test("no files of src import each other in a ring", async () => {
  expect(cycles(await sourcesOf("src"))).toEqual([]);
});

test("packages stay in the folder that owns them", async () => {
  expect(foreignPackages(await sourcesOf("src"))).toEqual([]);
});

test("every kind of import is seen, and none in texts and comments", () => {
  const source = file(
    "src/lock/all.ts",
    'import type { A } from "./a.ts";',
    'import { type B } from "./b.ts";',
    "import {",
    "  type C,",
    '} from "./c.ts";',
    'export type { D } from "./d.ts";',
    'export * from "./e.ts";',
    'import "./f.ts";',
    'type G = import("./g.ts").G;',
    'const h = await import("./h.ts");',
    '// import "./comment.ts";',
    "const text = \"import './text.ts'\";",
  );
  expect(importsOf(source).sort()).toEqual([..."abcdefgh"].map((name) => `./${name}.ts`));
});

test("an import that points up or sideways is found", () => {
  const up = file("src/lock/a.ts", 'import type { HedgerowNode } from "../node/api.ts";');
  const sideways = file("src/shard/a.ts", 'import { HedgerowError } from "../errors.ts";');
  const unknown = file("src/utils/a.ts", "export const a = 1;");
  const outside = file("src/lock/b.ts", 'import "../../test/house/sources.ts";');
  const bare = file("src/lock/c.ts", 'import { backoffMs } from "../runtime/runtime";');
  const fine = file("src/lock/d.ts", 'import { backoffMs } from "../runtime/runtime.ts";');
  const findings = wrongDirections([up, sideways, unknown, outside, bare, fine]);
  expect(findings.map((finding) => finding.path)).toEqual([
    up.path,
    sideways.path,
    unknown.path,
    outside.path,
    bare.path,
  ]);
});

test("a ring is found, also one of types", () => {
  const ring = [
    file("src/log/a.ts", 'import { b } from "./b.ts";'),
    file("src/log/b.ts", 'import type { C } from "./c.ts";'),
    file("src/log/c.ts", 'import { a } from "./a.ts";'),
    file("src/log/d.ts", 'import { a } from "./a.ts";'),
  ];
  expect(cycles(ring)).toEqual([
    {
      path: "src/log/a.ts",
      problem: "a ring: src/log/a.ts -> src/log/b.ts -> src/log/c.ts -> src/log/a.ts",
    },
  ]);
});

test("a package in a foreign folder is found", () => {
  const line = 'const { Spanner } = await import("@google-cloud/spanner");';
  const strange = file("src/lock/a.ts", line);
  const own = file("src/store/spanner/a.ts", line);
  expect(foreignPackages([strange, own]).map((finding) => finding.path)).toEqual([strange.path]);
});
