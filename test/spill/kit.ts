import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../src/observe/logger.ts";
import type { ScratchFile, ScratchFiles } from "../../src/runtime/scratch.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { systemScratch } from "../../src/runtime/system-scratch.ts";
import type { SpillStore } from "../../src/spill/api.ts";
import { Spill, type SpillOptions } from "../../src/spill/spill.ts";

export const clock = systemClock();

/** A folder that goes with the test. */
export class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "hedgerow-spill-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Scratch files in memory, of which one can be told to fail. */
export class FakeFiles implements ScratchFiles {
  readonly files: FakeFile[] = [];
  failure: (Error & { code?: string }) | null = null;

  create(): FakeFile {
    const file = new FakeFile(this);
    this.files.push(file);
    return file;
  }
}

export class FakeFile implements ScratchFile {
  bytes = new Uint8Array(0);
  closed = false;
  /** Of one write, at the most. */
  mostPieces = 0;

  constructor(private readonly owner: FakeFiles) {}

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    await Bun.sleep(0);
    if (this.owner.failure !== null) throw this.owner.failure;
    this.mostPieces = Math.max(this.mostPieces, pieces.length);
    this.bytes = new Uint8Array(Buffer.concat(pieces));
  }

  map(): Uint8Array<ArrayBuffer> {
    return this.bytes;
  }

  pin(): void {}

  unpin(): void {}

  close(): void {
    this.closed = true;
  }
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: something with a file`), { code });
}

/** The files of this process that have no name any more, as `/proc/self/fd` shows them. */
export function unlinkedFiles(folder: string): string[] {
  const listed = Bun.spawnSync(["ls", "-l", `/proc/${process.pid}/fd`]).stdout.toString();
  return listed
    .split("\n")
    .filter((line) => line.includes(folder) && line.endsWith("(deleted)"))
    .map((line) => `/proc/${process.pid}/fd/${/(\d+) ->/.exec(line)?.[1]}`);
}

/** Turns one bit of the file's byte at `at` around. */
export function flipBit(path: string, at: number): void {
  const fd = openSync(path, "r+");
  const byte = new Uint8Array(1);
  readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ 0x10;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}

export interface SpillSettings extends Partial<SpillOptions> {
  readonly folder?: string;
}

export function spillOf({ folder, ...settings }: SpillSettings = {}): Spill {
  return new Spill({
    clock,
    logger: silentLogger,
    memoryBytes: 64 << 20,
    diskBytes: 64 << 20,
    files: folder === undefined ? null : systemScratch(folder),
    ...settings,
  });
}

/** Record `i`: its own number and a filling that depends on it. */
export function record(i: number, bytes = 100): Uint8Array {
  const made = new Uint8Array(Math.max(4, bytes)).fill(i % 251);
  new DataView(made.buffer).setUint32(0, i);
  return made;
}

/** Appends records `from` to `to`, exclusive, and waits where need be. */
export async function pour(store: SpillStore, from: number, to: number, bytes = 100) {
  await using writer = store.writer();
  for (let i = from; i < to; i++) await writer.append(record(i, bytes));
}

/** Reads all, and throws unless record i is `record(i)`. */
export async function checkAll(store: SpillStore, bytes = 100, from = 0): Promise<number> {
  let i = from;
  for await (const batch of store.reader({ from }).batches()) {
    if (batch.first !== i) throw new Error(`batch of ${batch.first} instead of ${i}`);
    for (const got of batch) {
      if (Buffer.compare(got, record(i, bytes)) !== 0) throw new Error(`record ${i} is another`);
      i++;
    }
  }
  return i - from;
}

/** Waits until it is so. */
export async function until(holds: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms`);
    await Bun.sleep(5);
  }
}
