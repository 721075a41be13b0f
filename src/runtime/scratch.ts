/** Files for what need not outlive the process. Nobody else can open, truncate or leave them behind. */
export interface ScratchFiles {
  /** A new, empty file without a name. Throws the system's error (`code` as in `ENOSPC`). */
  create(): ScratchFile;
}

export interface ScratchFile {
  /** Appends all of it; begins at once, whatever else the caller does. Throws the system's error, as on a full disk; then only `close` is of use. */
  write(pieces: readonly Uint8Array[]): Promise<void>;
  /**
   * What was written, as pages of the file: nothing is copied. A mapping of its own each time, which goes with the
   * garbage: one that is kept would count as heap, and let as much garbage pile up beside it. Throws the system's
   * error, and for a file that is closed.
   */
  map(): Uint8Array<ArrayBuffer>;
  /** Somebody looks at what is mapped: it stays as it is until `unpin`, also when the file is closed meanwhile. */
  pin(): void;
  unpin(): void;
  /**
   * Frees the space, at once or with the last `unpin`. Views that somebody still has read zeros then; on a full file system
   * that has no disk beneath it, reading them kills the process. Idempotent.
   */
  close(): void;
}
