import { HedgerowError } from "../errors.ts";
import type { CliContext } from "./context.ts";

/** How the help says it. */
export const OR_STDIN = "-: all of stdin, as it is";

/**
 * The bytes of an operand; `-` stands for stdin, as the kernel takes no argument over 128 KiB. Throws
 * `too_large` for more than `maxBytes` of it, and `canceled` at Ctrl-C.
 */
export async function operandBytes(
  { stdin, stop }: CliContext,
  operand: string,
  maxBytes: number,
): Promise<Uint8Array> {
  if (operand !== "-") return Buffer.from(operand);
  const reader = stdin().getReader();
  const stopped = Promise.withResolvers<{ done: true; value: undefined }>();
  const onStop = () => stopped.resolve({ done: true, value: undefined });
  stop.addEventListener("abort", onStop, { once: true });
  if (stop.aborted) onStop();
  try {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), stopped.promise]);
      if (stop.aborted) throw new HedgerowError("canceled", "canceled while it read stdin");
      if (done) return Buffer.concat(chunks);
      bytes += value.length;
      if (bytes > maxBytes) {
        throw new HedgerowError("too_large", `stdin is over ${maxBytes} bytes: shorten it`);
      }
      chunks.push(value);
    }
  } finally {
    stop.removeEventListener("abort", onStop);
    await reader.cancel(); // an open reader would keep the process
  }
}

/** As `operandBytes`, as text. Throws `invalid_argument` where stdin is not UTF-8. */
export async function operandText(
  context: CliContext,
  operand: string,
  maxBytes: number,
): Promise<string> {
  const bytes = await operandBytes(context, operand, maxBytes);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new HedgerowError("invalid_argument", "stdin is not UTF-8: encode it", { cause });
  }
}
