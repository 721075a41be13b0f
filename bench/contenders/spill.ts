// One way to keep records, or the machine's own way of moving their bytes, in a process of its own; prints MB/s.
import { mkdtempSync, rmSync } from "node:fs";
import { open, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Binary, makeBuilder } from "apache-arrow";
import { silentLogger } from "../../src/observe/logger.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { systemScratch } from "../../src/runtime/system-scratch.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { Spill } from "../../src/spill/spill.ts";

export interface SpillWork {
  /** `pair`: the machine's own append and its own write, one beside the other as the store has them. */
  readonly subject: "bare" | "pair" | "ours" | "arrow";
  readonly task: "append" | "batches" | "diskWrite" | "diskRead";
  readonly recordBytes: number;
  /** Bytes of all records. */
  readonly totalBytes: number;
  readonly seconds: number;
}

/** Of one write or read of the machine's own. */
const IO_BYTES = 1024 * 1024;
/** Of one buffer that is filled and written out by turns with another one, as the store's are. */
const SEGMENT_BYTES = 8 * IO_BYTES;
/** What is written comes from memory, as records do: more than the processor's caches hold. */
const SOURCE_BYTES = 64 * IO_BYTES;
/** The builder has no limit but memory. */
const BUILDER_BYTES = 64 * 1024 * 1024;

/** A pass over so many bytes, timed by whoever calls it. */
type Pass = () => unknown;

interface Subject extends AsyncDisposable {
  readonly bytes: number;
  readonly pass: Pass;
  /** Before each pass; does not count. */
  readonly before?: Pass;
}

function records({ recordBytes, totalBytes }: SpillWork) {
  const record = new Uint8Array(recordBytes).fill(7);
  const count = Math.floor(totalBytes / recordBytes);
  return { record, count, bytes: count * recordBytes };
}

function bareAppend(work: SpillWork): Subject {
  const { record, count, bytes } = records(work);
  const values = new Uint8Array(bytes);
  const pass = () => {
    let at = 0;
    for (let i = 0; i < count; i++) {
      values.set(record, at);
      at += record.length;
    }
  };
  return { bytes, pass, async [Symbol.asyncDispose]() {} };
}

function builderAppend(work: SpillWork): Subject {
  const { record, count, bytes } = records({ ...work, totalBytes: BUILDER_BYTES });
  const pass = () => {
    const builder = makeBuilder({ type: new Binary() });
    for (let i = 0; i < count; i++) builder.append(record);
    return builder.finish().toVector();
  };
  return { bytes, pass, async [Symbol.asyncDispose]() {} };
}

function spill(memoryBytes: number, diskBytes: number): { spill: Spill; folder: string } {
  const folder = mkdtempSync(join(tmpdir(), "hedgerow-bench-"));
  const [clock, logger, files] = [systemClock(), silentLogger, systemScratch(folder)];
  return { spill: new Spill({ clock, logger, memoryBytes, diskBytes, files }), folder };
}

/** As a program does that appends as fast as it can. */
async function pour(store: SpillStore, record: Uint8Array, count: number): Promise<void> {
  await using writer = store.writer();
  for (let i = 0; i < count; i++) {
    const taken = writer.append(record);
    if (taken !== undefined) await taken;
  }
}

async function ours(work: SpillWork): Promise<Subject> {
  const { record, count, bytes } = records(work);
  const onDisk = work.task === "diskWrite" || work.task === "diskRead";
  const room = bytes * 1.5 + 64 * 1024 * 1024 + count * 8;
  const { spill: node, folder } = onDisk ? spill(0, room) : spill(room, 0);
  const reads = work.task === "batches" || work.task === "diskRead";
  let store = node.store("bench");
  if (reads) await pour(store, record, count);
  const before = async () => {
    if (reads) return;
    await store.close();
    store = node.store("bench");
  };
  const write = () => pour(store, record, count);
  const read = async () => {
    let sum = 0;
    for await (const { offsets, values, length } of store.reader().batches()) {
      sum += touch(offsets, values, length);
    }
    return sum;
  };
  return {
    bytes,
    before,
    pass: reads ? read : write,
    async [Symbol.asyncDispose]() {
      await node.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

/** What a consumer does at the least: finds each record. */
function touch(offsets: Int32Array, values: Uint8Array, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) {
    const start = offsets[i] as number;
    sum += (values[start] as number) + (offsets[i + 1] as number) - start;
  }
  return sum;
}

function bareBatches(work: SpillWork): Subject {
  const { record, count, bytes } = records(work);
  const values = new Uint8Array(bytes).fill(7);
  const offsets = Int32Array.from({ length: count + 1 }, (_, i) => i * record.length);
  return { bytes, pass: () => touch(offsets, values, count), async [Symbol.asyncDispose]() {} };
}

async function unlinkedFile(folder: string) {
  const path = join(folder, "file");
  const handle = await open(path, "w+");
  await unlink(path);
  return handle;
}

/** One file, written from memory and read into a buffer, in large pieces. */
async function bareDisk(work: SpillWork): Promise<Subject> {
  const folder = mkdtempSync(join(tmpdir(), "hedgerow-bench-"));
  let handle = await unlinkedFile(folder);
  const buffer = new Uint8Array(IO_BYTES);
  const source = new Uint8Array(SOURCE_BYTES).fill(7);
  const pieces = Math.floor(work.totalBytes / IO_BYTES);
  const write = async () => {
    for (let i = 0; i < pieces; i++) {
      await handle.write(source, (i * IO_BYTES) % SOURCE_BYTES, IO_BYTES, i * IO_BYTES);
    }
  };
  const read = async () => {
    for (let i = 0; i < pieces; i++) await handle.read(buffer, 0, IO_BYTES, i * IO_BYTES);
  };
  const reads = work.task === "diskRead";
  if (reads) await write();
  const before = async () => {
    if (reads) return;
    await handle.close();
    handle = await unlinkedFile(folder);
  };
  return {
    bytes: pieces * IO_BYTES,
    before,
    pass: reads ? read : write,
    async [Symbol.asyncDispose]() {
      await handle.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** A bare `set` fills one of two buffers while the other one is written: what disk can take of records at the most. */
async function bareAppendAndWrite(work: SpillWork): Promise<Subject> {
  const { record, bytes } = records(work);
  const folder = mkdtempSync(join(tmpdir(), "hedgerow-bench-"));
  let handle = await unlinkedFile(folder);
  const buffers = [new Uint8Array(SEGMENT_BYTES), new Uint8Array(SEGMENT_BYTES)] as const;
  const pieces = Math.floor(bytes / SEGMENT_BYTES);
  const pass = async () => {
    let writing: Promise<unknown> | null = null;
    for (let i = 0; i < pieces; i++) {
      const buffer = buffers[i % 2] as Uint8Array;
      for (let at = 0; at + record.length <= buffer.length; at += record.length) {
        buffer.set(record, at);
      }
      await writing;
      writing = handle.write(buffer, 0, buffer.length, i * SEGMENT_BYTES);
    }
    await writing;
  };
  const before = async () => {
    await handle.close();
    handle = await unlinkedFile(folder);
  };
  return {
    bytes: pieces * SEGMENT_BYTES,
    before,
    pass,
    async [Symbol.asyncDispose]() {
      await handle.close();
      rmSync(folder, { recursive: true });
    },
  };
}

async function subjectOf(work: SpillWork): Promise<Subject> {
  if (work.subject === "ours") return ours(work);
  if (work.subject === "arrow") return builderAppend(work);
  if (work.subject === "pair") return bareAppendAndWrite(work);
  if (work.task === "append") return bareAppend(work);
  return work.task === "batches" ? bareBatches(work) : bareDisk(work);
}

/** Megabytes a second of the passes that fit into the time, after one that warms up. */
async function measure(work: SpillWork): Promise<number> {
  await using subject = await subjectOf(work);
  let spentMs = 0;
  let passes = -1;
  while (passes < 1 || spentMs < work.seconds * 1e3) {
    await subject.before?.();
    const began = performance.now();
    await subject.pass();
    if (++passes > 0) spentMs += performance.now() - began;
  }
  return (passes * subject.bytes) / spentMs / 1e3;
}

console.log(await measure(JSON.parse(process.argv[2] ?? "") as SpillWork));
