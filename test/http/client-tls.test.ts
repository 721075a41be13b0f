import { Http2SessionManager } from "@connectrpc/connect-node";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { followClientTls, readClientTls, RELOAD_TLS_MS } from "../../src/http/client-tls.ts";
import { GrpcListener } from "../../src/http/grpc/listener.ts";
import { HttpListener } from "../../src/http/listener.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { TestCluster, validity } from "../rpc/kit/cluster.ts";
import { RecordingLogger } from "../rpc/kit/nodes.ts";
import { until } from "../rpc/kit/wait.ts";

const clock = systemClock();
let folder = "";
let files = { cert: "", key: "" };
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-client-tls-"));
  files = { cert: join(folder, "tls.crt"), key: join(folder, "tls.key") };
});
afterEach(() => rm(folder, { recursive: true }));

async function write({ cert, key }: { cert: string; key: string }): Promise<void> {
  await writeFile(files.cert, cert);
  await writeFile(files.key, key);
  await chmod(files.key, 0o600);
}

const ask = (url: string, ca: string) =>
  fetch(url, { tls: { ca, serverName: "hedgerow" }, keepalive: false } as BunFetchRequestInit).then(
    (response) => response.text(),
    () => "refused",
  );

test("the listener speaks TLS, and takes new files up while it runs", async () => {
  const [first, second] = [new TestCluster(), new TestCluster()];
  await write(first.member("a"));
  const tls = await readClientTls(files, clock);
  expect(tls.warning).toBeNull();
  const listener = new HttpListener({ address: "127.0.0.1:0", tls, clock });
  listener.serve({ fetch: () => new Response("served"), stop() {} });
  expect(listener.url).toBe(`https://${listener.address}`);
  expect(await ask(listener.url, first.authority.cert)).toBe("served");
  expect(await ask(listener.url, second.authority.cert)).toBe("refused");
  expect(await ask(`http://${listener.address}`, first.authority.cert)).toBe("refused");

  const looks = new ManualClock();
  const logger = new RecordingLogger();
  const context = { clock: looks, logger };
  const end = followClientTls(files, tls, context, (renewed) => listener.renew(renewed));
  const look = async () => {
    looks.pass(RELOAD_TLS_MS);
    await until("it has looked", () => looks.timers.size === 1);
  };
  await write({ ...second.member("b"), key: first.member("c").key });
  await look();
  expect(logger.lines).toEqual([expect.stringContaining("not usable, those read before stay")]);
  expect(await ask(listener.url, first.authority.cert)).toBe("served");
  await write(second.member("b"));
  await look();
  expect(await ask(listener.url, second.authority.cert)).toBe("served");
  expect(await ask(listener.url, first.authority.cert)).toBe("refused");
  end();
  expect(looks.timers.size).toBe(0);
  await listener.stop();
});

test("the grpc listener speaks TLS, and shows another certificate to new connections", async () => {
  const [first, second] = [new TestCluster(), new TestCluster()];
  const grpc = await GrpcListener.open({ address: "127.0.0.1:0", tls: first.member("a"), clock });
  const answered = async (ca: string) => {
    const nodeOptions = { ca, servername: "hedgerow" };
    const manager = new Http2SessionManager(`https://${grpc.address}`, {}, nodeOptions);
    const state = await manager.connect();
    manager.abort();
    return state;
  };
  expect(await answered(first.authority.cert)).toBe("idle");
  expect(await answered(second.authority.cert)).toBe("error");
  grpc.renew(second.member("b"));
  expect(await answered(second.authority.cert)).toBe("idle");
  expect(await answered(first.authority.cert)).toBe("error");
  await grpc.stop();
});

test("files that cannot serve are named, with what is wrong with them", async () => {
  const cluster = new TestCluster();
  const sound = cluster.member("a");
  const problem = async (tls: { cert: string; key: string }) => {
    await write(tls);
    return readClientTls(files, clock).then(
      () => "none",
      (error: Error) => error.message.replaceAll(folder, ""),
    );
  };
  expect(await problem(sound)).toBe("none");
  expect(await problem({ ...sound, cert: "no PEM" })).toStartWith(
    "--client-tls-cert /tls.crt holds no PEM certificate: ",
  );
  expect(await problem({ ...sound, key: cluster.member("b").key })).toBe(
    "--client-tls-key /tls.key is not the PEM key of the certificate in /tls.crt",
  );
  expect(await problem(cluster.member("a", validity(-7_200_000, -3_600_000)))).toMatch(
    /^--client-tls-cert \/tls\.crt ended on .*: renew it$/,
  );
  await rm(files.cert);
  await expect(readClientTls(files, clock)).rejects.toThrow("cannot be read: ENOENT");
});
