// Unpacks one segment so often, its first argument, beside so many megabytes of other memory, its second. Prints by how
// many megabytes anonymous memory grew at the most.
import { readFileSync } from "node:fs";
import { pack, unpack } from "../../../src/spill/remote/packing.ts";
import type { Layout } from "../../../src/spill/sealed.ts";

const MB = 1_000_000;
const [times = 0, beside = 0] = process.argv.slice(2, 4).map(Number);

function anonymousMb(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return (Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / MB;
}

// The collector lets garbage grow with the heap, of which a store's memory is a part.
const heap = Array.from({ length: beside }, () => new Uint8Array(MB).fill(1));
const segment = Buffer.from(Array.from({ length: 400_000 }, (_, i) => `record ${i}\n`).join(""));
const layout = { bytes: segment.length } as Layout;
const smaller = await pack({ pieces: [segment], layout }, new AbortController().signal);
if (smaller === null) throw new Error("it was not packed");
const bytes = Buffer.concat(smaller.pieces);
const into = new Uint8Array(segment.length);
await unpack(bytes, smaller.packed, into);
Bun.gc(true);
const before = anonymousMb();
let most = 0;
for (let i = 0; i < times; i++) {
  await unpack(bytes, smaller.packed, into);
  most = Math.max(most, anonymousMb());
}
if (Buffer.compare(into, segment) !== 0 || heap.length !== beside) throw new Error("it is another");
console.log(JSON.stringify({ grownMb: Math.round(most - before) }));
