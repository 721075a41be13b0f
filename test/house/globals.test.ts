import { expect, test } from "bun:test";
import { bannedGlobals } from "./globals.ts";
import { type Source, sourcesOf } from "./sources.ts";

const file = (path: string, ...lines: string[]): Source => ({ path, text: lines.join("\n") });

test("time, randomness and environment enter src through src/runtime", async () => {
  expect(bannedGlobals(await sourcesOf("src"))).toEqual([]);
});

test("a banned global is found wherever it is used as one", () => {
  const uses = [
    "export const a = Date.now();",
    "export const b = { clock: performance.now };",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the code under test
    "export const c = `${crypto.randomUUID()}`;",
    "setTimeout(() => {}, 1);",
    "globalThis.setInterval(() => {}, 1);",
    "export const d = process.env.HOME;",
    "export const e = new Date();",
    "export const f = AbortSignal.timeout(5);",
    'import { setTimeout as later } from "node:timers/promises"; export { later };',
  ];
  for (const use of uses) {
    const findings = bannedGlobals([file("src/lock/a.ts", "// A first line.", use)]);
    expect(findings, use).toHaveLength(1);
    expect(findings[0]?.path, use).toBe("src/lock/a.ts:2");
  }
});

test("comments, texts, types, locals and other dates are no uses", () => {
  const source = file(
    "src/lock/a.ts",
    "// Date.now() and setTimeout",
    'export const text = "Math.random()";',
    "export type Later = typeof setTimeout;",
    "export function wait(setTimeout: () => void) {",
    "  setTimeout();",
    "}",
    "export const then = new Date(0);",
  );
  expect(bannedGlobals([source])).toEqual([]);
});

test("the exceptions are exactly the clocks' own files and the entry", () => {
  const use = "export const now = Date.now();";
  const found = (path: string) => bannedGlobals([file(path, use)]).length;
  expect(found("src/runtime/system.ts")).toBe(0);
  expect(found("src/runtime/web.ts")).toBe(0);
  expect(found("src/main.ts")).toBe(0);
  expect(found("src/runtime/runtime.ts")).toBe(1);
});
