import type { Prng } from "../../simulation/world/prng.ts";

/** Texts that careless code would stumble over. */
const AWKWARD = [
  "",
  " ",
  "\0",
  "a\0b",
  "\n",
  "a\r\nb: c",
  "\u2028",
  "\uFEFF",
  "\uD800",
  "a\uDC00b",
  "é".normalize("NFD"),
  "🦔",
  "\u202Eright to left",
  "'; DROP TABLE logtable; --",
  "../../etc/passwd",
  "%00%ff",
  "$(x)",
  "{}",
  '{"holder":',
  "__proto__",
  "constructor",
  "toString",
  "null",
  "NaN",
  "Infinity",
  "-0",
  "1e309",
  "0x10",
  "007",
  "-1",
  "4294967296",
  "9007199254740993",
  "18446744073709551616",
  "123456789012345678901234567890",
  "--help",
  "-",
  "--",
  "=",
  ",",
  ":",
  "1s",
  "1h30m",
  "30 s",
  "𝟛s",
  "999999999999h",
  `${"9".repeat(400)}h`,
  "[::1]:80",
  "[::1",
  "host:99999",
  "user:pw@host:1",
  "host/path:1",
  "127.0.0.1:",
  "http://",
  "http://[::1",
  "https://a.example/b?c#d",
  "sqlite:",
  "spanner:projects/p/instances/i/databases/d",
  "__hedge/semaphore/x",
  "__hedgerow/ca",
  "__caller=",
  "limit=3",
  "hedge/spindle/lockname/x",
  "name_123",
];

const LONG = [63, 64, 128, 129, 1024, 1025, 4096, 4097, 70_000];

/** An awkward text, a long one, a random one, or two of them joined. */
export function text(prng: Prng): string {
  const kind = prng.int(10);
  if (kind < 5) return prng.pick(AWKWARD);
  if (kind < 6) return prng.pick(["a", "é", "\0", "🦔", "\uD800"]).repeat(prng.pick(LONG));
  if (kind < 7) return `${text(prng)}${text(prng)}`;
  return Array.from({ length: prng.int(20) }, () => character(prng)).join("");
}

/** A text with a few changes. */
export function mutateText(prng: Prng, given: string): string {
  let mutated = given;
  for (let left = 1 + prng.int(3); left > 0; left--) {
    const at = prng.int(mutated.length + 1);
    const end = prng.chance(0.5) ? at : Math.min(mutated.length, at + 1 + prng.int(4));
    const put = prng.pick(["", character(prng), mutated.slice(0, at), text(prng)]);
    mutated = mutated.slice(0, at) + put + mutated.slice(end);
  }
  return mutated.slice(0, 200_000);
}

function character(prng: Prng): string {
  if (prng.chance(0.7)) return String.fromCharCode(32 + prng.int(95));
  return String.fromCharCode(prng.int(0x10000)); // surrogates among them
}
