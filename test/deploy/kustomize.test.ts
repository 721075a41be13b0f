import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveFlags } from "../../src/cli/flag.ts";
import { SERVE_FLAGS } from "../../src/cli/flags.ts";
import { cli } from "../cli/cli-kit.ts";
import { resourcesOf, startOf } from "./resources.ts";

const root = join(import.meta.dir, "../..");

/** Kustomize reads YAML as Kubernetes does, which is not quite as Bun does. */
async function kustomize(folder: string): Promise<string> {
  const child = Bun.spawn(["kubectl", "kustomize", folder], { stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return stdout;
}

/** Resources in an order of their own: kustomize has another. */
function sorted(resources: unknown): unknown[] {
  return (resources as { kind: string }[]).sort((a, b) => (a.kind < b.kind ? -1 : 1));
}

const missing = Bun.which("kubectl") === null ? "there is no kubectl" : null;
if (missing !== null) process.stderr.write(`SKIPPED: kustomize: ${missing}\n`);

describe.skipIf(missing !== null)("kustomize", () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hedgerow-kustomize-"));
    await cp(join(root, "deploy/kubernetes"), join(folder, "kubernetes"), { recursive: true });
  });

  afterAll(() => rm(folder, { recursive: true }));

  test("deploy/kubernetes is complete, and means what the command prints", async () => {
    const { stdout } = await cli(["k8s", "manifest"]);
    const built = Bun.YAML.parse(await kustomize(join(folder, "kubernetes")));
    expect(sorted(built)).toEqual(sorted(Bun.YAML.parse(stdout)));
  });

  test("names that YAML knows as something else stay names", async () => {
    const own = join(folder, "odd-names");
    await mkdir(own);
    for (const [name, namespace] of [
      ["on", "1e3"],
      ["y", "0x1f"],
      ["null", "2020-01-01"],
      ["e1", "1-0"],
    ] as const) {
      const flags = ["--name", name, "--namespace", namespace, "--image", "1.5"];
      const account = ["--gcp-service-account", "nodes@our-project.iam.gserviceaccount.com"];
      const { stdout } = await cli(["k8s", "manifest", ...flags, ...account]);
      await Bun.write(join(own, "all.yaml"), stdout);
      await Bun.write(join(own, "kustomization.yaml"), "resources: [all.yaml]\n");
      const { Deployment, ServiceAccount } = resourcesOf(await kustomize(own));
      expect(ServiceAccount.metadata).toMatchObject({ name, namespace });
      const { metadata, spec } = Deployment.spec.template;
      expect(metadata.labels["app.kubernetes.io/instance"]).toBe(name);
      expect(spec.containers[0].image).toBe("1.5");
    }
  });

  test("the guide's own kustomization stands on it, and changes what it says", async () => {
    const guide = await Bun.file(join(root, "docs/KUBERNETES.md")).text();
    const [, example = ""] = /```yaml\n(.*?kind: Kustomization.*?)```/s.exec(guide) ?? [];
    await Bun.write(join(folder, "ours/kustomization.yaml"), example);
    const resources = resourcesOf(await kustomize(join(folder, "ours")));
    for (const { metadata } of Object.values(resources)) {
      expect(metadata.namespace).toBe("my-namespace");
    }
    const [container] = resources.Deployment.spec.template.spec.containers;
    expect(container.image).toBe("europe-docker.pkg.dev/my-project/my-images/hedgerow:0.1.0");
    expect(resources.ServiceAccount.metadata.annotations).toEqual({
      "iam.gke.io/gcp-service-account": "hedgerow@my-project.iam.gserviceaccount.com",
    });
    const { args, env } = startOf(container, {
      "status.podIP": "10.8.0.5",
      "metadata.namespace": "my-namespace",
    });
    expect(args).toEqual(["serve", "--peer-addr", "10.8.0.5:8080", "--http-addr", ":9090"]);
    expect(env.HEDGEROW_STORE).toMatch(/^spanner:projects\/my-project\//);
    expect(env.HEDGEROW_HTTP_HOSTS).toContain(",hedgerow.my-namespace.svc,");
    expect(env).toMatchObject({ HEDGEROW_LOCK_NAME: "hedgerow", HEDGEROW_LEASE: "10s" });
    expect(resolveFlags(SERVE_FLAGS, {}, env).lease).toBe(10_000);
    const added = resources.NetworkPolicy.spec.ingress.slice(2);
    expect(added).toEqual([
      {
        from: [
          {
            namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "ingress-nginx" } },
          },
        ],
        ports: [{ port: "http" }],
      },
    ] as unknown as typeof added);
  });
});
