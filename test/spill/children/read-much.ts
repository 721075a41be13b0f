// Spills so many megabytes, its first argument, of records of 1 KiB to the folder that is its third, with as much memory
// as the second, and reads them twice. Prints by how many megabytes anonymous memory grew from before the store was there
// to its most while reading.
import { readFileSync } from "node:fs";
import { silentLogger } from "../../../src/observe/logger.ts";
import { systemClock } from "../../../src/runtime/system.ts";
import { systemScratch } from "../../../src/runtime/system-scratch.ts";
import { Spill } from "../../../src/spill/spill.ts";

const MB = 1_000_000;
const [total = 0, memory = 0] = process.argv.slice(2, 4).map(Number);
const folder = process.argv[4] ?? "";

function anonymousMb(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  return (Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024) / MB;
}

const spill = new Spill({
  clock: systemClock(),
  logger: silentLogger,
  memoryBytes: memory * MB,
  diskBytes: total * 2 * MB,
  files: systemScratch(folder),
});
const before = anonymousMb();
const store = spill.store("much");
const record = new Uint8Array(1024);
const count = Math.ceil((total * MB) / record.length);
{
  await using writer = store.writer();
  for (let i = 0; i < count; i++) {
    const taken = writer.append(record.fill(i));
    if (taken !== undefined) await taken;
  }
}
const written = anonymousMb();
let most = 0;
let read = 0;
for (let pass = 0; pass < 2; pass++) {
  for await (const { length } of store.reader().batches()) {
    read += length;
    most = Math.max(most, anonymousMb());
  }
  for await (const one of store.reader()) {
    read += 1;
    if (one.length !== record.length) throw new Error("another record");
    if (read % 1_000 === 0) most = Math.max(most, anonymousMb());
  }
}
if (read !== 4 * count) throw new Error(`${read} records of ${4 * count}`);
console.log(
  JSON.stringify({ grownMb: Math.round(most - before), writtenMb: Math.round(written - before) }),
);
await spill.stop();
