import { type Finding, importsOf, loaderOf, locate, type Source } from "./sources.ts";

/** Time, randomness and environment, which enter through src/runtime. */
const BANNED = [
  "Date.now",
  "performance.now",
  "performance.timeOrigin",
  "process.hrtime",
  "process.hrtime.bigint",
  "process.uptime",
  "process.env",
  "Math.random",
  "crypto.randomUUID",
  "crypto.getRandomValues",
  "setTimeout",
  "setImmediate",
  "setInterval",
  "AbortSignal.timeout",
  "Bun.nanoseconds",
  "Bun.sleep",
  "Bun.sleepSync",
  "Bun.env",
  "Bun.randomUUIDv7",
  "import.meta.env",
] as const;

/** Modules that give the same by import. */
const BANNED_MODULES = ["timers", "process", "perf_hooks"].flatMap((name) => [
  name,
  `${name}/promises`,
  `node:${name}`,
  `node:${name}/promises`,
]);

/** Where they may be named, and which. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  "src/runtime/system.ts": BANNED,
  "src/runtime/web.ts": BANNED,
  "src/main.ts": BANNED,
};

const MARK = "HEDGEROW_BANNED_";
const markOf = (name: string) => MARK + name.replaceAll(".", "_");

// Bun's own parser puts the mark wherever the true global is used: not in comments and texts, and not
// where a parameter or a local has the name.
const transpiler = new Bun.Transpiler({
  define: Object.fromEntries(
    BANNED.flatMap((name) => [
      [name, markOf(name)],
      [`globalThis.${name}`, markOf(name)],
    ]),
  ),
});

/** Uses of banned globals, and of the wall clock through `new Date()`. */
export function bannedGlobals(sources: readonly Source[]): Finding[] {
  return sources.flatMap((source) => {
    const allowed = EXCEPTIONS[source.path] ?? [];
    const code = transpiler.transformSync(source.text, loaderOf(source));
    const used: string[] = BANNED.filter((name) => new RegExp(`\\b${markOf(name)}\\b`).test(code));
    if (/\bnew Date\b(?!\()/.test(code)) used.push("new Date");
    used.push(...importsOf(source).filter((specifier) => BANNED_MODULES.includes(specifier)));
    return used
      .filter((name) => !allowed.includes(name))
      .map((name) => ({
        path: locate(source, new RegExp(`\\b${name.replaceAll(".", "\\.")}\\b`)),
        problem: `uses ${name}: take a Clock, a Random or an option`,
      }));
  });
}
