import { constants } from "node:fs";
import { access, statfs } from "node:fs/promises";
import { freemem, tmpdir } from "node:os";
import { HedgerowError, messageOf } from "../errors.ts";
import type { Logger } from "../observe/logger.ts";
import type { Compression } from "../spill/compression.ts";

/** What the spill store may take of this node. */
export interface SpillRoom {
  /** Folder of its files. */
  readonly folder: string;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** Of segments on their way to other nodes. */
  readonly compression: Compression;
}

export interface SpillRoomOptions {
  /** "" for the system's folder for temporary files. */
  readonly spillDir: string;
  readonly spillMemory?: number | undefined;
  readonly spillDisk: number;
  readonly spillCompression: Compression;
}

export const DEFAULT_DISK_BYTES = 1024 ** 3;
/** Of the memory that is free, which may be less than the machine's where the process has a limit. */
const MEMORY_SHARE = 0.5;
/** Linux's numbers of file systems that keep files in memory: tmpfs and ramfs. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

/** Of all nodes that are started together on a machine. */
export function defaultMemoryBytes(): number {
  return Math.floor(Math.min(freemem(), process.availableMemory()) * MEMORY_SHARE);
}

export function spillRoom(options: SpillRoomOptions): SpillRoom {
  const { spillDir, spillMemory, spillDisk, spillCompression: compression } = options;
  return {
    folder: spillDir || tmpdir(),
    memoryBytes: spillMemory ?? defaultMemoryBytes(),
    diskBytes: spillDisk,
    compression,
  };
}

/** Throws `invalid_argument` for a folder that was named and cannot be used. */
export async function checkSpillDir(spillDir: string): Promise<void> {
  if (spillDir === "") return;
  try {
    await access(`${spillDir}/.`, constants.W_OK | constants.X_OK); // which a file does not have
  } catch (error) {
    throw new HedgerowError(
      "invalid_argument",
      `--spill-dir ${spillDir}: ${messageOf(error)}: make the folder, writable for this user, or name another`,
      { cause: error },
    );
  }
}

/** Warns where the folder is no disk, as an `emptyDir` of the medium Memory: what spills there takes memory once more. */
export async function warnOfMemory(
  { folder, diskBytes }: Pick<SpillRoom, "folder" | "diskBytes">,
  logger: Logger,
): Promise<void> {
  if (diskBytes === 0 || !(await isInMemory(folder))) return;
  logger.warn(
    "the spill store's folder is in memory: name one on a disk with --spill-dir, or say --spill-disk 0",
    { folder, diskBytes },
  );
}

async function isInMemory(folder: string): Promise<boolean> {
  try {
    return IN_MEMORY.has((await statfs(folder)).type);
  } catch {
    return false; // whoever writes there is told why it cannot be
  }
}
