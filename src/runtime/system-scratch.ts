import { dlopen } from "bun:ffi";
import { close, closeSync, constants, openSync, unlinkSync, writev } from "node:fs";
import { join } from "node:path";
import type { ScratchFile, ScratchFiles } from "./scratch.ts";

/** FALLOC_FL_PUNCH_HOLE with FALLOC_FL_KEEP_SIZE, which it demands. */
const PUNCH_HOLE = 2 | 1;
/** Names that are tried: another process may use the same ones for an instant. */
const MAX_NAMES = 100;
/** Where this process's open files have paths, though nobody else knows their names any more. */
const OPEN_FILES = process.platform === "linux" ? "/proc/self/fd" : "/dev/fd";

/** O_TMPFILE: a file that never has a name. Bun has no constant for it; O_DIRECTORY is part of it. */
const TEMPORARY = 0o20000000 | constants.O_DIRECTORY | constants.O_RDWR;
const MODE = 0o600;

let made = 0;

/** Scratch files in `folder`: without a name from the start, or, where that cannot be, as soon as they are open. */
export function systemScratch(folder: string): ScratchFiles {
  return { create: () => new UnlinkedFile(openNameless(folder) ?? openUnlinked(folder)) };
}

/** null where the system or the file system has no such files. */
function openNameless(folder: string): number | null {
  if (process.platform !== "linux") return null;
  try {
    return openSync(folder, TEMPORARY, MODE);
  } catch (error) {
    if (["EOPNOTSUPP", "EISDIR", "EINVAL"].includes(codeOf(error))) return null;
    throw error;
  }
}

function openUnlinked(folder: string): number {
  for (let tries = 1; ; tries++) {
    const path = join(folder, `.hedgerow-scratch-${process.pid}-${made++}`);
    let fd: number;
    try {
      fd = openSync(path, "wx+", MODE);
    } catch (error) {
      if (codeOf(error) === "EEXIST" && tries < MAX_NAMES) continue;
      throw error;
    }
    try {
      unlinkSync(path);
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

class UnlinkedFile implements ScratchFile {
  #length = 0;
  #pins = 0;
  #closed = false;
  #freed = false;

  constructor(private readonly fd: number) {}

  async write(pieces: readonly Uint8Array[]): Promise<void> {
    let left = pieces.filter((piece) => piece.length > 0);
    while (left.length > 0) {
      const written = await writeSome(this.fd, left, this.#length);
      this.#length += written;
      left = after(left, written);
    }
  }

  map(): Uint8Array<ArrayBuffer> {
    if (this.#closed) throw new Error("the file is closed"); // its number may be another file's
    return Bun.mmap(`${OPEN_FILES}/${this.fd}`);
  }

  pin(): void {
    this.#pins++;
  }

  unpin(): void {
    this.#pins--;
    this.#freeIfUnused();
  }

  close(): void {
    this.#closed = true;
    this.#freeIfUnused();
  }

  #freeIfUnused(): void {
    if (!this.#closed || this.#pins > 0 || this.#freed) return;
    this.#freed = true;
    if (this.#length > 0) punchHole(this.fd, this.#length);
    close(this.fd, () => {}); // nothing of the file is wanted any more
  }
}

function writeSome(fd: number, pieces: readonly Uint8Array[], at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    writev(fd, pieces, at, (error, written) => (error === null ? resolve(written) : reject(error)));
  });
}

/** What is left of `pieces` once so many bytes of them were written. */
function after(pieces: readonly Uint8Array[], written: number): Uint8Array[] {
  let skip = written;
  return pieces.flatMap((piece) => {
    const rest = piece.subarray(Math.min(skip, piece.length));
    skip -= piece.length - rest.length;
    return rest.length > 0 ? [rest] : [];
  });
}

type Fallocate = (fd: number, mode: number, offset: number, length: number) => number;
let fallocate: Fallocate | null = null;

/**
 * Where the system or the file system cannot, the space is free once the mapping has been collected. The mapping
 * must not lose its length: reading beyond it would kill the process.
 */
function punchHole(fd: number, length: number): void {
  if (process.platform !== "linux") return;
  fallocate ??= dlopen("libc.so.6", {
    fallocate: { args: ["i32", "i32", "i64", "i64"], returns: "i32" },
  }).symbols.fallocate as Fallocate;
  fallocate(fd, PUNCH_HOLE, 0, length);
}
