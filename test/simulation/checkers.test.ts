// Violations that no broken part can bring about, shown to their checkers by hand.
import { expect, test } from "bun:test";
import type { HeldPermit } from "../../src/semaphore/held-permit.ts";
import { checkLog } from "./world/checkers.ts";
import { SimulatedCluster } from "./world/cluster.ts";
import { CommitChecker } from "./world/checkers.ts";
import { PermitHolders } from "./world/permit-holders.ts";
import type { PutRecord } from "./world/workload.ts";

test("an entry that is there twice", () => {
  const put: PutRecord = {
    key: "key-0",
    value: "v1",
    id: "id-1",
    ifVersion: undefined,
    node: "10.0.0.1:8080",
    startedAt: 0,
    endedAt: 1,
    outcome: "ok",
    timestamp: 7,
    current: undefined,
  };
  const entry = { key: "key-0", id: "id-1", value: "v1", leader: "10.0.0.1:8080", timestamp: 7 };
  expect(checkLog([put], new Map([["key-0", [entry]]]))).toEqual([]);
  expect(checkLog([put], new Map([["key-0", [entry, entry]]]))).toEqual([
    "key-0 id-1 is there twice",
  ]);
});

test("a semaphore that is held with two limits at once", () => {
  const cluster = new SimulatedCluster(1, {
    nodes: 1,
    leaseMs: 2_000,
    observer: new CommitChecker(),
  });
  const [node] = cluster.nodes;
  const holders = new PermitHolders(cluster);
  const permit = (owner: string) => ({ semaphore: "s", owner, held: true }) as HeldPermit;
  if (node === undefined) throw new Error("one node was asked for");
  holders.add(node.address, node.machine, permit("a"), 2);
  expect(holders.violations).toEqual([]);
  holders.add(node.address, node.machine, permit("b"), 3);
  expect(holders.violations).toEqual(["0.0: s: held with the limits 2 and 3"]);
});
