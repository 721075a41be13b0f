import { environmentName, flagName, type FlagSet } from "./flag.ts";

/** The flags as a table in Markdown, its columns aligned, for the README. */
export function flagTable(flags: FlagSet): string {
  const rows = Object.entries(flags)
    .filter(([, flag]) => flag.hidden !== true)
    .map(([key, flag]) => [
      code(flag.value === undefined ? flagName(key) : `${flagName(key)} ${flag.value}`),
      code(environmentName(key)),
      code(flag.fallback),
      flag.help.replaceAll("|", "\\|"),
    ]);
  const cells = [["flag", "environment", "default", "meaning"], ...rows];
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  const line = (row: readonly string[], fill: string) =>
    `| ${widths.map((width, column) => (row[column] ?? "").padEnd(width, fill)).join(" | ")} |`;
  const [heading = [], ...rest] = cells.map((row) => line(row, " "));
  return [heading, line([], "-"), ...rest].join("\n");
}

function code(text: string): string {
  return text === "" ? "" : `\`${text}\``;
}
