/** Files for what need not outlive the process. Nobody else can open, truncate or leave them behind. */
export interface ScratchFiles {
  /** A new, empty file without a name. Throws the system's error (`code` as in `ENOSPC`). */
  create(): Promise<ScratchFile>;
}

export interface ScratchFile {
  /** Appends all of it. Throws the system's error, as on a full disk; then only `close` is of use. */
  write(pieces: readonly Uint8Array[]): Promise<void>;
  /** What was written before the first `map`, as pages of the file: nothing is copied. The same view each time. */
  map(): Uint8Array<ArrayBuffer>;
  /** Frees the space at once; views that somebody still has read zeros. Idempotent. */
  close(): void;
}
