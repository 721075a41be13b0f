/** Where text goes, such as stderr. */
export interface TextOutput {
  write(text: string): void;
  /** Bytes written that the reader has not taken yet. */
  pendingBytes(): number;
}

/**
 * A `write` for logs that drops lines while the reader of `output` is more than `maxPendingBytes`
 * behind, and says how many once it reads again: a stalled terminal neither stalls the node nor fills
 * its memory.
 */
export function boundedWrite(
  output: TextOutput,
  maxPendingBytes = 1024 * 1024,
): (line: string) => void {
  let dropped = 0;
  return (line) => {
    if (output.pendingBytes() > maxPendingBytes) {
      dropped++;
      return;
    }
    if (dropped > 0) {
      output.write(`${dropped} log lines were dropped here: nobody read them in time\n`);
      dropped = 0;
    }
    output.write(line);
  };
}
