// The load's own check, shown what it must find.
import { expect, test } from "bun:test";
import { AppendLoad } from "./load.ts";
import type { Cluster, Entry, Node } from "./processes.ts";

test("finds entries that are lost, there twice, or never put", async () => {
  const load = new AppendLoad({ living: [] as Node[] } as unknown as Cluster, 0, 0, 1);
  load.tried.set("kept", "v").set("lost", "v");
  for (const id of ["kept", "lost"]) {
    load.acknowledged.push({ key: "load-0", id, value: "v", atMs: 0 });
  }
  const entry = (id: string): Entry => {
    return { key: "load-0", id, value: "v", timestamp: "", leader: "" };
  };
  const holding = (...ids: string[]) =>
    ({ entries: async () => ids.map(entry) }) as unknown as Node;
  expect(await load.violations(holding("kept", "lost"))).toEqual([]);
  expect(await load.violations(holding("kept", "kept", "unknown"))).toEqual([
    "kept is there twice",
    "unknown was never put",
    "lost is lost",
  ]);
});
