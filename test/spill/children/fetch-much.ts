// Pours records into a store whose segments another node keeps, compressed as its argument says, and reads them: all, some
// times, and single ones. Prints by how many megabytes anonymous memory grew meanwhile, beside 128 that are used.
import { readFileSync } from "node:fs";
import type { Compression } from "../../../src/spill/compression.ts";
import { Keeper, spillBeside } from "../keeper.ts";
import { checkAll, clock, pour, record } from "../kit.ts";

const MB = 1_000_000;
const RECORDS = 100_000;
const RECORD_BYTES = 1_000;
const compression = process.argv[2] as Compression;

function anonymousMb(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return (Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / MB;
}

// The collector lets garbage grow with the heap, of which a store's memory is a part.
const heap = Array.from({ length: 128 }, () => new Uint8Array(MB).fill(1));
const keeper = new Keeper();
const { spill } = spillBeside(keeper, { clock, memoryBytes: 0, compression });
const store = spill.store("much", { memoryBytes: 1e9, diskBytes: 1e9 });
await using _ = store.writer();
await pour(store, 0, RECORDS, RECORD_BYTES);
await checkAll(store, RECORD_BYTES);
Bun.gc(true);
const before = anonymousMb();
let most = 0;
const look = () => {
  most = Math.max(most, anonymousMb());
};
for (let pass = 0; pass < 5; pass++) {
  for await (const { length } of store.reader().batches()) if (length > 0) look();
}
const grownMb = Math.round(most - before);
for (let i = 0; i < 100; i++) {
  const index = (i * 18_541) % (RECORDS - 20_000);
  const got = await store.at(index);
  if (Buffer.compare(got, record(index, RECORD_BYTES)) !== 0)
    throw new Error(`${index} is another`);
  look();
}
if (heap.length === 0) throw new Error("the heap has gone");
console.log(JSON.stringify({ grownMb, withSingleMb: Math.round(most - before) }));
await spill.stop();
process.exit(0); // whose timers would wait for buffers that are kept
