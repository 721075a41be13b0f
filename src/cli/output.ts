import { oneLine } from "../observe/format.ts";
import type { Output } from "./context.ts";

/** Lines of aligned columns, the first row being the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const safe = rows.map((row) => row.map(oneLine));
  const widths = (safe[0] ?? []).map((_, column) =>
    Math.max(...safe.map((row) => Bun.stringWidth(row[column] ?? ""))),
  );
  return safe
    .map(
      (row) =>
        `${row
          .map((cell, i) => pad(cell, widths[i] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function pad(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - Bun.stringWidth(text)));
}

/** One line of JSON. */
export function printJson(output: Output, value: unknown): void {
  output.write(`${JSON.stringify(value)}\n`);
}

/** Bytes as JSON holds them: text where they are UTF-8, else in base 64 under another name. */
export function jsonBytes(name: string, bytes: Uint8Array): Record<string, string> {
  const text = strictText(bytes);
  return text === null ? { [`${name}Base64`]: bytes.toBase64() } : { [name]: text };
}

/** Bytes as a person reads them, on one line: control characters are escaped, as in a table. */
export function readable(bytes: Uint8Array): string {
  return oneLine(new TextDecoder().decode(bytes));
}

function strictText(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
