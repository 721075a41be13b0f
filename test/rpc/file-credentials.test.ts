import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCredentials } from "../../src/rpc/credentials.ts";
import { RELOAD_FILES_MS } from "../../src/rpc/file-credentials.ts";
import type { TlsFiles, TlsMaterial } from "../../src/rpc/tls.ts";
import { ManualClock } from "./kit/clock.ts";
import { TestCluster, validity } from "./kit/cluster.ts";
import {
  addressOf,
  bytes,
  deliver,
  deliverRoute,
  listen,
  peers,
  RecordingLogger,
  runtime,
} from "./kit/nodes.ts";
import { failureOf, until } from "./kit/wait.ts";

const cluster = new TestCluster();
let folder = "";
let files: TlsFiles = { cert: "", key: "", ca: "" };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-tls-"));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  files = {
    cert: join(folder, "tls.crt"),
    key: join(folder, "tls.key"),
    ca: join(folder, "ca.crt"),
  };
  await write(cluster.member("a"));
});

async function write({ cert, key, ca }: TlsMaterial): Promise<void> {
  const texts = { cert, key, ca: ca.join("\n") };
  for (const what of ["cert", "key", "ca"] as const) {
    // As Kubernetes does: another file takes the name.
    await Bun.write(`${files[what]}.new`, texts[what]);
    await rename(`${files[what]}.new`, files[what]);
  }
}

async function open(clock = new ManualClock()) {
  const logger = new RecordingLogger();
  const random = runtime.random;
  const address = "10.0.0.1:8080";
  const options = { tls: files, log: null, logger, address, runtime: { clock, random } };
  return { credentials: await openCredentials(options), clock, logger };
}

test("nodes whose files come from one authority talk; another authority's are refused", async () => {
  const { credentials } = await open();
  const route = deliverRoute(async ({ data }) => ({ data }));
  const address = addressOf(listen({ tls: credentials.current(), routes: [route] }));
  const call = (tls: TlsMaterial | null) =>
    peers({ tls: () => tls }).unary(address, deliver, { data: bytes("x") }, { timeoutMs: 5_000 });
  expect((await call(cluster.member("b"))).data).toEqual(bytes("x"));
  const foreign = new TestCluster().member("c");
  expect(await failureOf(call({ ...foreign, ca: [cluster.authority.cert] }))).toBeInstanceOf(Error);
  credentials.close();
});

test("files that change are in use within half a minute; what cannot serve leaves the others in use", async () => {
  const { credentials, clock, logger } = await open();
  const renewed: TlsMaterial[] = [];
  credentials.onRenewed((material) => void renewed.push(material));
  const first = credentials.current();
  await credentials.refresh();
  expect(renewed).toEqual([]);

  const next = cluster.member("a2");
  await write({ ...next, key: cluster.member("other").key });
  clock.pass(RELOAD_FILES_MS);
  await until("told", () => logger.lines.some((line) => line.includes("not usable")));
  expect(credentials.current()).toBe(first);
  await credentials.refresh();
  expect(logger.lines.filter((line) => line.includes("not usable"))).toHaveLength(1);

  await write(next);
  await until("in use", () => {
    clock.pass(RELOAD_FILES_MS);
    return renewed.length > 0;
  });
  expect(credentials.current()).toMatchObject({ cert: next.cert, key: next.key });
  expect(renewed).toHaveLength(1);
  credentials.close();
});

test("a listener that cannot take new files now is asked again", async () => {
  const { credentials } = await open();
  let busy = true;
  credentials.onRenewed(() => {
    if (busy) throw new Error("the port is taken");
  });
  const next = cluster.member("a3");
  await write(next);
  await credentials.refresh();
  expect(credentials.current()?.cert).not.toBe(next.cert);
  busy = false;
  await credentials.refresh();
  expect(credentials.current()?.cert).toBe(next.cert);
  credentials.close();
});

test("files that cannot serve are refused at the start, each with its name and what is wrong", async () => {
  const own = cluster.member("a");
  const problems: [Partial<TlsMaterial>, RegExp][] = [
    [{ key: cluster.member("b").key }, /--tls-key .* is not the key of the certificate/],
    [{ key: "no key" }, /--tls-key .* is not the key/],
    [{ cert: "no certificate" }, /--tls-cert .* holds no certificate/],
    [{ ca: [] }, /--tls-ca .* holds no certificate/],
    [{ ca: [new TestCluster().authority.cert] }, /--tls-cert .* is signed by no authority of/],
    [cluster.member("old", validity(-7_200_000, -3_600_000)), /--tls-cert .* ended on/],
    [
      { cert: cluster.authority.cert, key: cluster.authority.key },
      /--tls-cert .* is not for the DNS name hedgerow/,
    ],
  ];
  for (const [change, message] of problems) {
    await write({ ...own, ...change });
    await expect(open()).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(message),
    });
  }
  files = { ...files, ca: join(folder, "nowhere.crt") };
  await expect(open()).rejects.toThrow(/--tls-ca .*nowhere.crt cannot be read: ENOENT/);
});
