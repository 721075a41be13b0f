import { describe, expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import type { PlannedNode } from "../../src/cli/dev/plan.ts";
import { nodeRow, type NodeRow, type Observed } from "../../src/cli/dev/rows.ts";
import { devView } from "../../src/cli/dev/view.ts";
import { StatusResponseSchema } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";

const planned: PlannedNode = { number: 20, httpPort: 65_500, peerPort: 65_535, grpcPort: null };

function row(observed: Partial<Observed> = {}): NodeRow {
  return nodeRow({
    planned,
    pid: 4_194_304,
    status: null,
    answeredBefore: false,
    exit: null,
    stopping: false,
    lastLine: "",
    leaderless: false,
    ...observed,
  });
}

const status = create(StatusResponseSchema, {
  node: "127.0.0.1:65535",
  leader: "127.0.0.1:65534",
  token: "1735787045123456",
  members: [{ address: "127.0.0.1:65535" }],
});

/** What a terminal of 80 columns gets. */
function drawn(rows: readonly NodeRow[], told?: string): string {
  let text = "";
  const write = (more: string) => (text += more);
  const writeBytes = async () => {};
  const output = { isTerminal: true, columns: () => 80, pendingBytes: () => 0, write, writeBytes };
  devView(output, false).update(rows, told);
  return text;
}

describe("the live table", () => {
  test("80 columns show which node leads, its process, state and members, however long", () => {
    const lines = drawn([row({ status }), row(), row({ exit: { code: 1, signal: null } })]).split(
      "\n",
    );
    expect(lines.slice(0, 4)).toEqual(
      [
        "NODE  ROLE      PID      STATE     MEMBERS  HTTP                    PEER        ",
        "20    follower  4194304  ready     1        http://127.0.0.1:65500  127.0.0.1:65",
        "20              4194304  starting           http://127.0.0.1:65500  127.0.0.1:65",
        "20              4194304  dead               http://127.0.0.1:65500  127.0.0.1:65",
      ].map((line) => line.slice(0, 79)),
    );
  });

  test("a cause is a line below the table, once for all nodes, and not if it is told elsewhere", () => {
    const dead = row({ exit: { code: 1, signal: null }, lastLine: "no disk" });
    const killed = row({ exit: { code: null, signal: "SIGKILL" } });
    const rows = [dead, { ...dead, node: 2 }, killed];
    expect(drawn(rows).split("\n").slice(4)).toEqual([
      "node 20, 2: exit code 1: no disk",
      "node 20: SIGKILL",
      "",
    ]);
    expect(drawn(rows, dead.note)).not.toContain("no disk");
  });
});

test("who does not answer has no number of members", () => {
  expect(row().members).toBeNull();
  expect(row({ exit: { code: 0, signal: null }, stopping: true, status }).members).toBeNull();
  expect(row({ status }).members).toBe(1);
});
