import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resourcesOf, startOf } from "../deploy/resources.ts";
import { freshDatabase } from "../spanner/database.ts";
import { describeWithEmulator } from "../spanner/rule.ts";
import { makeBase, NONROOT } from "./base-image.ts";
import { Container, type ContainerOptions, describeWithContainers, makeData } from "./container.ts";
import { BINARY, freePorts, type Status, until } from "./processes.ts";

const SERVICE = "/hedgerow.v1.HedgerowService";

/** The binary and its data folder on what the base has, as the Dockerfile puts them. */
async function makeImage(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "hedgerow-image-"));
  await makeBase(root);
  await mkdir(join(root, "data"));
  await copyFile(BINARY, join(root, "hedgerow"));
  return root;
}

describeWithContainers("the image", [], () => {
  let image: ContainerOptions;

  beforeAll(async () => {
    image = { root: await makeImage(), data: await makeData() };
  });

  afterAll(async () => {
    for (const folder of [image.root, image.data]) await rm(folder, { recursive: true });
  });

  test("prints version, help and manifest from an empty folder", async () => {
    for (const [args, said] of [
      [["--version"], /^\d+\.\d+\.\d+\n$/],
      [["--help"], /^Usage: hedgerow /],
      [["k8s", "manifest"], /^apiVersion: v1\n/],
    ] as const) {
      const { code, stdout, stderr } = await Container.run(image, ...args);
      expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: "" });
      expect(stdout).toMatch(said);
    }
    expect(await readdir(image.data)).toEqual([]);
  });

  test("serves on a read-only root, as process 1 and a user without rights, and stops with 0", async () => {
    const [peer, http] = await freePorts(2);
    const listeners = ["--peer-addr", `127.0.0.1:${peer}`, "--http-addr", `:${http}`];
    await using container = new Container(image, ["serve", ...listeners]);
    const pid = await container.pid();
    const status = await Bun.file(`/proc/${pid}/status`).text();
    for (const line of [
      new RegExp(`^Uid:(\\s+${NONROOT}){4}$`, "m"),
      new RegExp(`^Gid:(\\s+${NONROOT}){4}$`, "m"),
      /^Groups:\s*$/m,
      /^NSpid:\s+\d+\s+1$/m,
      /^CapPrm:\s+0+$/m,
      /^NoNewPrivs:\s+1$/m,
    ])
      expect(status).toMatch(line);
    const mounts = (await Bun.file(`/proc/${pid}/mountinfo`).text()).trimEnd().split("\n");
    const places = mounts.map((mount) => mount.split(" ").slice(4, 6));
    expect(places.map(([place, options]) => `${place} ${options?.slice(0, 2)}`).sort()).toEqual([
      "/ ro",
      "/data rw",
      "/proc rw",
    ]);

    await ready(http);
    expect(await demo(http, "/put", "key some value")).toContain("key=key, value=some value");
    expect(await demo(http, "/get", "key")).toContain("[{Key:key Value:some value Timestamp:");
    expect(await demo(http, "/send", "hi")).toContain("received the message [hi]");
    expect(await demo(http, "/broadcast", "all")).toContain("received the broadcast message [all]");
    const checks = await Container.run(image, "doctor", ...listeners);
    expect(checks).toMatchObject({ code: 0, stderr: "" });
    expect(checks.stdout).not.toContain("FAIL");

    const { code, stdout, stderr } = await container.stop();
    expect({ code, stdout }).toEqual({ code: 0, stdout: "" });
    const complaints = stderr.split("\n").filter((line) => /ERROR|WARN/.test(line));
    expect(complaints).toEqual([expect.stringContaining("give --client-token-file")]);
    expect(await readdir(image.data)).toContain("hedgerow.db");
  }, 30_000);

  test("outside of its data folder it writes nothing, and says so", async () => {
    const { code, stdout, stderr } = await Container.run(image, "serve", "--store", "sqlite:/x.db");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("/x.db");
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(await readdir(image.root)).not.toContain("x.db");
  });

  describeWithEmulator("as the manifest starts it, on Spanner", () => {
    test("two pods are one cluster; the leader's stop costs nothing", async () => {
      await using database = await freshDatabase([]);
      const env = { SPANNER_EMULATOR_HOST: database.host };
      const store = `spanner:${database.path}`;
      const { stdout } = await Container.run(image, "k8s", "manifest", "--store", store);
      const { Deployment } = resourcesOf(stdout);
      const pod = Deployment.spec.template.spec;
      expect(pod.securityContext).toMatchObject({ runAsUser: NONROOT, runAsGroup: NONROOT });
      expect(pod.containers[0].volumeMounts.map(({ mountPath }) => mountPath)).toEqual([
        "/data",
        "/etc/hedgerow/clients",
      ]);
      const applied = await Container.run({ ...image, env }, "schema", "apply", "--store", store);
      expect(applied).toMatchObject({ code: 0, stderr: "" });

      /** Kubernetes gives each pod an address; here they share one and have ports instead. */
      const startPod = async () => {
        const [peer = 0, http = 0] = await freePorts(2);
        const fields = { "status.podIP": "127.0.0.1", "metadata.namespace": "ours" };
        const start = startOf(pod.containers[0], fields);
        const ports = { ":8080": `:${peer}`, ":9090": `:${http}` };
        const args = start.args.map((arg) =>
          Object.entries(ports).reduce((text, [from, to]) => text.replace(from, to), arg),
        );
        const data = await makeData();
        // In place of the Secret's own folder, which the base has no mount for here.
        await writeFile(join(data, "tokens"), `rw ${TOKEN}\n`);
        const tokens = { HEDGEROW_CLIENT_TOKEN_FILE: "/data/tokens" };
        const podEnv = { ...start.env, ...tokens, ...env };
        const container = new Container({ ...image, data, env: podEnv }, args);
        return {
          container,
          http,
          [Symbol.asyncDispose]: async () => {
            await container[Symbol.asyncDispose]();
            await rm(data, { recursive: true });
          },
        };
      };
      await using first = await startPod();
      await ready(first.http);
      await using second = await startPod();
      await ready(second.http);

      // As the kubelet and the Service's clients name the listener.
      for (const [host, path] of [
        [`10.8.0.5:${first.http}`, pod.containers[0].livenessProbe.httpGet.path],
        [`10.8.0.5:${first.http}`, pod.containers[0].readinessProbe.httpGet.path],
        [`hedgerow.ours.svc:9090`, "/livez"],
      ] as const) {
        const response = await fetch(`http://127.0.0.1:${first.http}${path}`, {
          headers: { host },
        });
        expect({ host, path, status: response.status }).toEqual({ host, path, status: 200 });
      }

      const anonymous = await fetch(`http://127.0.0.1:${first.http}/put`, { method: "POST" });
      expect(anonymous.status).toBe(401);
      await until("the first leads", 15_000, async () => (await leads(first.http)) === true);
      expect(await demo(second.http, "/put", "key one")).toContain("value=one");
      expect(await demo(first.http, "/get", "key")).toContain("Value:one ");
      expect((await first.container.stop()).code).toBe(0);
      await until("the second leads", 5_000, async () => (await leads(second.http)) === true);
      expect(await demo(second.http, "/put", "key two")).toContain("value=two");
      expect(await demo(second.http, "/get", "key")).toContain("Value:two ");
      const { code, stderr } = await second.container.stop();
      expect(code).toBe(0);
      for (const line of stderr.trimEnd().split("\n")) expect(() => JSON.parse(line)).not.toThrow();
    }, 60_000);
  });
});

const TOKEN = "0123456789abcdef0123456789abcdef";
const AUTHORIZATION = { authorization: `Bearer ${TOKEN}` };

async function ready(port = 0): Promise<void> {
  await until("it is ready", 15_000, async () => {
    const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
    return response?.status === 200;
  });
}

async function demo(port = 0, path: string, body: string): Promise<string> {
  const init = { method: "POST", body, headers: AUTHORIZATION };
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  return response.text();
}

async function leads(port: number): Promise<boolean | undefined> {
  const headers = { "content-type": "application/json", ...AUTHORIZATION };
  const url = `http://127.0.0.1:${port}${SERVICE}/Status`;
  const response = await fetch(url, { method: "POST", headers, body: "{}" });
  return ((await response.json()) as Status).isLeader;
}
