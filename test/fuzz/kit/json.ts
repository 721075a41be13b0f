import type { Prng } from "../../simulation/world/prng.ts";
import { mutateText, text } from "./texts.ts";

/** Values as JSON's text, of every kind, some that JSON has not. */
const VALUES = [
  "null",
  "true",
  "0",
  "-0",
  "-1",
  "1.5",
  "1e309",
  "9007199254740993",
  "18446744073709551616",
  '"9223372036854775807"',
  '"-9223372036854775809"',
  "NaN",
  "undefined",
  '""',
  '"\\ud800"',
  '"\\u0000"',
  '"AA=="',
  '"10s"',
  '"-1s"',
  '"315576000001s"',
  "[]",
  "{}",
  '{"__proto__":{"x":1}}',
  "[null]",
  "'x'",
] as const;

export function randomJson(prng: Prng, depth = 0): string {
  const kind = prng.int(12);
  if (kind === 0 && depth === 0) return nested(prng);
  if (kind < 4 && depth < 4) {
    const fields = Array.from({ length: prng.int(4) }, () => {
      return `${JSON.stringify(text(prng))}:${randomJson(prng, depth + 1)}`;
    });
    return `{${fields.join()}}`;
  }
  if (kind === 4) return JSON.stringify(text(prng));
  return prng.pick(VALUES);
}

/** A JSON text with some values replaced, fields doubled, or torn. */
export function mutateJson(prng: Prng, json: string): string {
  const kind = prng.int(6);
  if (kind === 0) return json;
  if (kind === 1) return mutateText(prng, json);
  if (kind === 2) return json.replace(/^\{(.+)\}$/s, "{$1,$1}");
  if (kind === 3) return json.replace(/"(\w+)":/, (_, name: string) => `"${name}x":`);
  // As a rule the value after one of the colons.
  const colons = [...json.matchAll(/:/g)];
  if (colons.length === 0) return randomJson(prng);
  const at = prng.pick(colons).index + 1;
  const end = /[,}]/g;
  end.lastIndex = at;
  const found = end.exec(json);
  const value = kind === 4 ? prng.pick(VALUES) : randomJson(prng);
  return json.slice(0, at) + value + json.slice(found?.index ?? json.length);
}

function nested(prng: Prng): string {
  const depth = prng.pick([100, 1_000, 100_000]);
  const [open, close] = prng.pick([["[", "]"] as const, ['{"a":', "}"] as const]);
  return open.repeat(depth) + (prng.chance(0.5) ? `0${close.repeat(depth)}` : "");
}
