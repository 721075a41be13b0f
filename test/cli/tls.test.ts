import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestCluster } from "../rpc/kit/cluster.ts";
import { cli } from "./cli-kit.ts";
import { Process, until } from "./process-kit.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-cli-tls-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("serve --tls files takes its certificate from files, and refuses half of them", async () => {
  const { cert, key, ca } = new TestCluster().member("a");
  const paths = { cert: join(folder, "c"), key: join(folder, "k"), ca: join(folder, "a") };
  await Promise.all([
    Bun.write(paths.cert, cert),
    Bun.write(paths.key, key),
    Bun.write(paths.ca, ca.join("\n")),
  ]);
  const flags = ["--tls-cert", paths.cert, "--tls-key", paths.key, "--tls-ca", paths.ca];
  const listeners = ["--peer-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"];
  const node = new Process(["serve", ...listeners, "--tls", "files", ...flags], folder);
  const address = await until(
    "started",
    () => /started .*address=?"?\D*(127\.0\.0\.1:\d+)/.exec(node.stderr)?.[1],
  );
  const tls = { ca, cert, key, serverName: "hedgerow" };
  const answered = await fetch(`https://${address}/nowhere`, { tls } as BunFetchRequestInit);
  // Past the handshake; the request itself says nothing of the cluster that it is for.
  expect(answered.status).toBe(400);
  node.child.kill();
  expect(await node.ended()).toBe(0);

  const half = await cli(["serve", ...listeners, "--tls", "files", "--tls-cert", paths.cert]);
  expect(half.code).not.toBe(0);
  expect(half.stderr).toContain("--tls files needs --tls-cert, --tls-key and --tls-ca");
  const unasked = await cli(["serve", ...listeners, ...flags]);
  expect(unasked.stderr).toContain("--tls auto reads no files: give --tls files");
}, 90_000);

test("ca rotate puts an authority beside the one in use, once", async () => {
  const store = `sqlite:${join(folder, "rotated.db")}`;
  const none = await cli(["ca", "rotate", "--store", store]);
  expect(none.code).toBe(1);
  expect(none.stderr).toContain("the first node that starts with --tls auto makes one");
  const listeners = ["--peer-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"];
  const node = new Process(["serve", ...listeners, "--store", store], folder);
  await until("started", () => node.stderr.includes("started"));
  const rotated = await cli(["ca", "rotate", "--store", store]);
  expect(rotated).toMatchObject({ code: 0, stderr: "" });
  expect(rotated.stdout).toContain("authority 2 is in the store: nodes trust it within 5 min");
  const again = await cli(["ca", "rotate", "--store", store]);
  expect(again.stderr).toContain("authority 2 is still being taken up");
  node.child.kill();
  await node.ended();
}, 90_000);
