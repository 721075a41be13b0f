import { expect, test } from "bun:test";
import { planNodes, serveArguments } from "../../src/cli/dev/plan.ts";
import { resolveFlags } from "../../src/cli/flag.ts";
import { SERVE_FLAGS } from "../../src/cli/flags.ts";

const shared = {
  store: "sqlite:/tmp/x.db",
  leaseMs: 2_500,
  firstPeerPort: 8080,
  spillMemoryBytes: 64_000_000,
  spillDiskBytes: 0,
};

test("what dev starts its nodes with says to serve what was said to dev", () => {
  const [node] = planNodes(1, { httpPort: 9090, peerPort: 8080, grpcPort: null });
  if (node === undefined) throw new Error("no node was planned");
  for (const [keepVersions, keepAgeMs] of [
    [null, null],
    [3, 5_400_000],
  ] as const) {
    const argv = serveArguments(node, { ...shared, keepVersions, keepAgeMs });
    const flag = (name: string) => argv[argv.indexOf(name) + 1];
    const given = {
      store: flag("--store"),
      lease: flag("--lease"),
      keepVersions: flag("--keep-versions"),
      keepAge: flag("--keep-age"),
      spillMemory: flag("--spill-memory"),
      spillDisk: flag("--spill-disk"),
    };
    expect(resolveFlags(SERVE_FLAGS, given, {})).toMatchObject({
      store: "sqlite:/tmp/x.db",
      lease: 2_500,
      keepVersions,
      keepAge: keepAgeMs,
      spillMemory: 64_000_000,
      spillDisk: 0,
    });
  }
});

test("with a grpc port each node has one of its own", () => {
  const nodes = planNodes(3, { httpPort: 9090, peerPort: 8080, grpcPort: 8181 });
  const addresses = nodes.map((node) => {
    const argv = serveArguments(node, { ...shared, keepVersions: null, keepAgeMs: null });
    return argv[argv.indexOf("--grpc-addr") + 1];
  });
  expect(addresses).toEqual(["127.0.0.1:8181", "127.0.0.1:8182", "127.0.0.1:8183"]);
});
