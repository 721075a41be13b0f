import { HedgerowError } from "../../errors.ts";

const NEWLINE = 10;

/**
 * The lines of a stream of bytes, without their ends, many at a time: those that end in one chunk. What stands behind
 * the last newline is a line, too. Throws `too_large` for a line of more than `maxBytes`.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array[]> {
  let begun: Uint8Array[] = [];
  let begunBytes = 0;
  let count = 0;
  const check = (bytes: number) => {
    if (bytes <= maxBytes) return;
    const message = `line ${count + 1} is over ${maxBytes} bytes: a record is a line, shorten it`;
    throw new HedgerowError("too_large", message);
  };
  for await (const chunk of chunks) {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const rest = chunk.subarray(start, end);
      check(begunBytes + rest.length);
      lines.push(begun.length === 0 ? rest : Buffer.concat([...begun, rest]));
      count++;
      begun = [];
      begunBytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      begun.push(chunk.subarray(start));
      begunBytes += chunk.length - start;
      check(begunBytes);
    }
    if (lines.length > 0) yield lines;
  }
  if (begun.length > 0) yield [Buffer.concat(begun)];
}
