import { oneLine } from "../../observe/format.ts";
import type { Output } from "../context.ts";
import { printJson, table } from "../output.ts";
import type { NodeRow } from "./rows.ts";

/** Shows the nodes; each call with all rows, of which only what changed is shown. */
export interface DevView {
  /** For people without the note `told`, which they get elsewhere. */
  update(rows: readonly NodeRow[], told?: string): void;
  /** Text for people, above what changes. */
  say(text: string): void;
}

/** In the order of their worth: a narrow terminal cuts off the last ones. */
const HEADING = ["NODE", "ROLE", "PID", "STATE", "MEMBERS", "HTTP", "PEER", "TOKEN"];

export function devView(output: Output, json: boolean): DevView {
  // What is for people has no place among objects for programs.
  if (json)
    return changesView(
      (row) => printJson(output, row),
      () => {},
    );
  if (output.isTerminal) return liveView(output);
  return changesView(
    (row, told) => output.write(plainLine(row, told)),
    (text) => output.write(text),
  );
}

/** Only the rows that changed, each once more. */
function changesView(
  show: (row: NodeRow, told: string) => void,
  say: (text: string) => void,
): DevView {
  const shown = new Map<number, string>();
  return {
    update(rows, told = "") {
      for (const row of rows) {
        const text = JSON.stringify(row);
        if (shown.get(row.node) === text) continue;
        shown.set(row.node, text);
        show(row, told);
      }
    },
    say,
  };
}

/** A table that is redrawn where it stands. */
function liveView(output: Output): DevView {
  let drawn = "";
  let lines: string[] = [];
  const erase = () => (lines.length === 0 ? "" : `\u001b[${lines.length}A\u001b[0J`);
  return {
    update(rows, told = "") {
      const text = table([HEADING, ...rows.map(cells)]) + noteLines(rows, told);
      if (text === drawn) return;
      const before = erase();
      drawn = text;
      // A line that wraps would take two rows, and the next redraw would start in the wrong one.
      lines = text
        .trimEnd()
        .split("\n")
        .map((line) => line.slice(0, output.columns() - 1));
      output.write(`${before}${lines.join("\n")}\n`);
    },
    say(text) {
      output.write(`${erase()}${text}${lines.map((line) => `${line}\n`).join("")}`);
    },
  };
}

function plainLine(row: NodeRow, told: string): string {
  const { node, state, note, role, http, peer, members, token, pid } = row;
  const known = role === "" ? "" : `  ${role}, members ${members}, token ${token}`;
  const why = note === "" || note === told ? "" : ` (${oneLine(note)})`;
  return `node ${node} ${state}${why}${known}  ${http}  peer ${peer}  pid ${pid}\n`;
}

function cells({ node, role, pid, state, members, http, peer, token }: NodeRow): string[] {
  return [String(node), role, String(pid), state, String(members ?? ""), http, peer, token];
}

/** A line for each note, with the nodes that it is about. */
function noteLines(rows: readonly NodeRow[], told: string): string {
  const noted = rows.filter(({ note }) => note !== "" && note !== told);
  return [...Map.groupBy(noted, ({ note }) => note)]
    .map(([note, of]) => `node ${of.map(({ node }) => node).join(", ")}: ${oneLine(note)}\n`)
    .join("");
}
