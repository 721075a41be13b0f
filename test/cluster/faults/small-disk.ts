// A file system of a few megabytes that can be filled. Needs root. Imports nothing of src.
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missingTools } from "./root.ts";

/** What a small disk needs and is not there; null if nothing. */
export const MISSING_FOR_DISKS = missingTools("mount", "umount");

const ZEROS = Buffer.alloc(4_096);

export class SmallDisk implements AsyncDisposable {
  private constructor(readonly folder: string) {}

  static async make(megabytes: number): Promise<SmallDisk> {
    const folder = await mkdtemp(join(tmpdir(), "hedgerow-disk-"));
    try {
      run("mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder);
    } catch (error) {
      await rmdir(folder);
      throw error;
    }
    return new SmallDisk(folder);
  }

  /** Leaves no block free. */
  fill(): void {
    const filler = openSync(this.#filler, "w");
    try {
      while (writeSync(filler, ZEROS) === ZEROS.length);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    } finally {
      closeSync(filler);
    }
  }

  free(): void {
    rmSync(this.#filler);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    run("umount", this.folder);
    await rmdir(this.folder);
  }

  get #filler(): string {
    return join(this.folder, "filler");
  }
}

function run(...words: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(words, { stdin: "ignore" });
  if (exitCode !== 0) throw new Error(`${words.join(" ")}: ${stderr.toString().trim()}`);
}
