import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { freemem, tmpdir } from "node:os";
import { HedgerowError, messageOf } from "../errors.ts";
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
