import { oneLine } from "../../observe/format.ts";
import type { Output } from "../context.ts";
import { printJson, table } from "../output.ts";
import type { NodeRow } from "./rows.ts";

/** Shows the nodes; each call with all rows, of which only what changed is shown. */
export interface DevView {
  update(rows: readonly NodeRow[]): void;
  /** Text for people, above what changes. */
  say(text: string): void;
}

const HEADING = ["NODE", "HTTP", "PEER", "ROLE", "TOKEN", "MEMBERS", "PID", "STATE"];

export function devView(output: Output, json: boolean): DevView {
  // What is for people has no place among objects for programs.
  if (json)
    return changesView(
      (row) => printJson(output, row),
      () => {},
    );
  if (output.isTerminal) return liveView(output);
  return changesView(
    (row) => output.write(plainLine(row)),
    (text) => output.write(text),
  );
}

/** Only the rows that changed, each once more. */
function changesView(show: (row: NodeRow) => void, say: (text: string) => void): DevView {
  const shown = new Map<number, string>();
  return {
    update(rows) {
      for (const row of rows) {
        const text = JSON.stringify(row);
        if (shown.get(row.node) === text) continue;
        shown.set(row.node, text);
        show(row);
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
    update(rows) {
      const text = table([HEADING, ...rows.map(cells)]);
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

function plainLine({ node, state, note, role, http, peer, members, token, pid }: NodeRow): string {
  const known = role === "" ? "" : `  ${role}, members ${members}, token ${token}`;
  const why = note === "" ? "" : ` (${oneLine(note)})`;
  return `node ${node} ${state}${why}${known}  ${http}  peer ${peer}  pid ${pid}\n`;
}

function cells(row: NodeRow): string[] {
  const { node, http, peer, role, token, members, pid, state, note } = row;
  const shown = note === "" ? state : `${state}: ${note}`;
  return [String(node), http, peer, role, token, String(members), String(pid), shown];
}
