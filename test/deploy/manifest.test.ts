import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { flagName, resolveFlags, environmentName } from "../../src/cli/flag.ts";
import { SERVE_FLAGS } from "../../src/cli/flags.ts";
import { guard } from "../../src/http/guard.ts";
import { parseTokens } from "../../src/http/tokens.ts";
import { cli } from "../cli/cli-kit.ts";
import { type Resources, resourcesOf, startOf } from "./resources.ts";

const root = join(import.meta.dir, "../..");
const read = (path: string) => Bun.file(join(root, path)).text();

async function manifest(...flags: string[]): Promise<Resources> {
  const { code, stdout, stderr } = await cli(["k8s", "manifest", ...flags]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return resourcesOf(stdout);
}

/** Pod and container, and what the container is started with. */
function podOf({ Deployment }: Resources) {
  const pod = Deployment.spec.template.spec;
  const [container] = pod.containers;
  const fields = { "status.podIP": "10.8.0.5", "metadata.namespace": "ours" };
  return { pod, container, ...startOf(container, fields) };
}

/** What `serve` makes of the container's arguments and environment. */
function configOf(resources: Resources) {
  const { args, env } = podOf(resources);
  const [command, ...flags] = args;
  expect(command).toBe("serve");
  const given = Object.fromEntries(
    Object.keys(SERVE_FLAGS).flatMap((key) => {
      const at = flags.indexOf(flagName(key));
      return at < 0 ? [] : [[key, flags[at + 1]]];
    }),
  );
  expect(Object.keys(given).length * 2).toBe(flags.length);
  return resolveFlags(SERVE_FLAGS, given, env);
}

const STORE = "spanner:projects/our-project/instances/our-instance/databases/our-database";

test("deploy/kubernetes/hedgerow.yaml is what the command prints", async () => {
  // Mend: bun src/main.ts k8s manifest > deploy/kubernetes/hedgerow.yaml
  expect(await read("deploy/kubernetes/hedgerow.yaml")).toBe(
    (await cli(["k8s", "manifest"])).stdout,
  );
});

test("--json prints the same as one list", async () => {
  const { stdout } = await cli(["k8s", "manifest", "--json"]);
  const list = JSON.parse(stdout) as { kind: string; items: unknown };
  expect(list.kind).toBe("List");
  expect(list.items).toEqual(Bun.YAML.parse(await read("deploy/kubernetes/hedgerow.yaml")));
});

test("until the store is edited, serve says what to give", async () => {
  const { env } = podOf(await manifest());
  const { code, stderr } = await cli(["serve"], { HEDGEROW_STORE: env.HEDGEROW_STORE });
  expect(code).toBe(2);
  expect(stderr).toBe(
    `hedgerow serve: HEDGEROW_STORE=${env.HEDGEROW_STORE}: this is the manifest's placeholder: edit HEDGEROW_STORE\n`,
  );
});

test("all resources have the name, and select the Deployment's pods alone", async () => {
  const { ServiceAccount, Deployment, Service, PodDisruptionBudget, NetworkPolicy } =
    await manifest("--name", "others");
  for (const resource of [ServiceAccount, Deployment, Service, PodDisruptionBudget, NetworkPolicy])
    expect(resource.metadata).toMatchObject({ name: "others" });
  const { labels } = Deployment.spec.template.metadata;
  expect(labels["app.kubernetes.io/instance"]).toBe("others");
  const pod = Deployment.spec.template.spec;
  expect(pod.serviceAccountName).toBe("others");
  const [peers, clients] = NetworkPolicy.spec.ingress;
  for (const selected of [
    Deployment.spec.selector.matchLabels,
    Service.spec.selector,
    PodDisruptionBudget.spec.selector.matchLabels,
    NetworkPolicy.spec.podSelector.matchLabels,
    ...pod.topologySpreadConstraints.map(({ labelSelector }) => labelSelector.matchLabels),
    peers?.from[0]?.podSelector.matchLabels,
  ])
    expect(selected).toEqual(labels);
  expect(clients?.from).toEqual([{ podSelector: {} }]);
});

const IMAGE = `registry.example:5000/a/hedgerow:1@sha256:${"0a".repeat(32)}`;

test("flags go to their places", async () => {
  const resources = await manifest(
    ...["--store", STORE, "--image", IMAGE],
    ...["--replicas", "5", "--name", "second", "--namespace", "ours"],
  );
  const { ServiceAccount, Deployment } = resources;
  const { container, env } = podOf(resources);
  for (const { metadata } of Object.values(resources)) expect(metadata.namespace).toBe("ours");
  expect(Deployment.spec.replicas).toBe(5);
  expect(container.image).toBe(IMAGE);
  expect(env).toMatchObject({ HEDGEROW_STORE: STORE, HEDGEROW_LOCK_NAME: "second" });
  expect(ServiceAccount.metadata.annotations).toEqual({
    "iam.gke.io/gcp-service-account": "second@our-project.iam.gserviceaccount.com",
  });
  const account = "someone@elsewhere.iam.gserviceaccount.com";
  const named = await manifest("--gcp-service-account", account);
  expect(Object.values(named.ServiceAccount.metadata.annotations ?? {})).toEqual([account]);
  expect(named.Deployment.metadata.namespace).toBeUndefined();
});

test("--new-tokens prints the Secret that the pods wait for, with tokens that serve takes, other ones each time", async () => {
  expect(await manifest()).not.toHaveProperty("Secret");
  const [first, second] = [
    await manifest("--new-tokens", "--namespace", "ours"),
    await manifest("--new-tokens", "--namespace", "ours"),
  ];
  const { Secret, Deployment } = first;
  expect(Secret.metadata).toMatchObject({ name: "hedgerow-clients", namespace: "ours" });
  const [volume] = Deployment.spec.template.spec.volumes;
  expect(Secret.metadata.name).toBe(volume?.secret?.secretName as string);
  const listed = parseTokens(Secret.stringData.tokens, "the Secret");
  expect(listed.map(({ permission }) => permission)).toEqual(["write", "read"]);
  expect(new Set(listed.map(({ token }) => token.length))).toEqual(new Set([64]));
  expect(second.Secret.stringData.tokens).not.toBe(Secret.stringData.tokens);
});

test("the store of the environment is the pods'", async () => {
  const { code, stdout } = await cli(["k8s", "manifest"], { HEDGEROW_STORE: STORE });
  expect(code).toBe(0);
  expect(podOf(resourcesOf(stdout)).env).toMatchObject({ HEDGEROW_STORE: STORE });
});

test("the account of a domain's project is spelled as Google does", async () => {
  const { ServiceAccount } = await manifest(
    "--store",
    "spanner:projects/example.com:ours/instances/our-instance/databases/our-database",
  );
  expect(ServiceAccount.metadata.annotations).toEqual({
    "iam.gke.io/gcp-service-account": "hedgerow@ours.example.com.iam.gserviceaccount.com",
  });
});

test("a name that no account can have asks for the account", async () => {
  for (const name of ["short", "n".repeat(31)]) {
    const { code, stderr } = await cli(["k8s", "manifest", "--name", name]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^hedgerow k8s manifest: --name [^\n]*--gcp-service-account [^\n]*\n$/);
  }
  const account = "someone@elsewhere.iam.gserviceaccount.com";
  await manifest("--name", "short", "--gcp-service-account", account);
});

test.each([
  "hedgerow",
  "hedgerow:0.1.0",
  "a/b__c/d-e:V1",
  "localhost:5000/hedgerow",
  "europe-docker.pkg.dev/my-project/my-images/hedgerow:0.1.0",
])("%p is an image", async (image) => {
  expect(podOf(await manifest("--image", image)).container.image).toBe(image);
});

describe("the container", () => {
  test("has arguments and variables that serve understands", async () => {
    const resources = await manifest("--store", STORE);
    const { env } = podOf(resources);
    const known = Object.keys(SERVE_FLAGS).map(environmentName);
    const own = Object.keys(env).filter((name) => name.startsWith("HEDGEROW_"));
    expect(own.filter((name) => !known.includes(name))).toEqual([]);
    expect(configOf(resources)).toMatchObject({
      peerAddr: "10.8.0.5:8080",
      httpAddr: ":9090",
      store: STORE,
      logFormat: "json",
    });
  });

  test("listens where probes, Service and policy look for it", async () => {
    const resources = await manifest("--store", STORE);
    const { container } = podOf(resources);
    const { peerAddr, httpAddr } = configOf(resources);
    const portOf = (address: string) => Number(address.split(":").at(-1));
    expect(container.ports).toEqual([
      { name: "peer", containerPort: portOf(peerAddr) },
      { name: "http", containerPort: portOf(httpAddr) },
    ]);
    expect(container.livenessProbe.httpGet).toEqual({ path: "/livez", port: "http" });
    expect(container.readinessProbe.httpGet).toEqual({ path: "/readyz", port: "http" });
    expect(resources.Service.spec.ports.map(({ targetPort }) => targetPort)).toEqual(["http"]);
    const open = resources.NetworkPolicy.spec.ingress.map(({ ports }) => ports);
    expect(open).toEqual([[{ port: "peer" }], [{ port: "http" }]]);
  });

  test("with --grpc listens for gRPC, too", async () => {
    const resources = await manifest("--store", STORE, "--grpc");
    const { container } = podOf(resources);
    const port = Number(configOf(resources).grpcAddr?.split(":").at(-1));
    expect(container.ports.at(-1)).toEqual({ name: "grpc", containerPort: port });
    expect(resources.Service.spec.ports.at(-1)).toMatchObject({ name: "grpc", targetPort: "grpc" });
    expect(resources.NetworkPolicy.spec.ingress.at(-1)?.ports).toEqual([
      { port: "http" },
      { port: "grpc" },
    ]);
  });

  test("answers the kubelet, which names it by its address, and clients of the Service", async () => {
    const { httpHosts } = configOf(await manifest("--store", STORE, "--name", "second"));
    const rules = { boundHost: "0.0.0.0", hosts: ["second-5d4f-x", ...httpHosts], origins: [] };
    const refusal = (host: string) => guard(rules, { host, origin: null, site: null });
    for (const end of ["", ".ours", ".ours.svc", ".ours.svc.cluster.local"])
      expect(refusal(`second${end}:9090`)).toBeNull();
    expect(refusal("10.8.0.5:9090")).toBeNull();
    expect(refusal("second.theirs:9090")?.status).toBe(421);
  });

  test("runs as the image's user, with the image's only writable folder, and no more rights", async () => {
    const { pod, container } = podOf(await manifest());
    const dockerfile = await read("Dockerfile");
    const [, folder] = /^WORKDIR (.+)$/m.exec(dockerfile.split("distroless")[1] ?? "") ?? [];
    const [, user] = /^USER (.+)$/m.exec(dockerfile) ?? [];
    const { runAsUser, runAsGroup } = pod.securityContext;
    expect(`${runAsUser}:${runAsGroup}`).toBe(user as string);
    const writable = container.volumeMounts.filter(({ readOnly }) => readOnly !== true);
    expect(writable).toEqual([{ name: "data", mountPath: folder as string }]);
    expect(pod.volumes.map(({ name }) => name)).toEqual(["clients", "data"]);
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
    const ports = container.ports.map(({ containerPort }) => containerPort);
    expect(dockerfile).toContain(`\nEXPOSE ${ports.join(" ")}\n`);
  });

  test("asks clients for a token of the Secret, which its group may read and nobody else", async () => {
    const resources = await manifest("--store", STORE, "--name", "second");
    const { pod, container } = podOf(resources);
    const { clientTokenFile } = configOf(resources);
    const mount = container.volumeMounts.find(({ name }) => name === "clients");
    expect(clientTokenFile).toBe(`${mount?.mountPath}/tokens`);
    expect(mount?.readOnly).toBe(true);
    const [volume] = pod.volumes;
    expect(volume?.secret).toEqual({ secretName: "second-clients", defaultMode: 0o440 });
    expect(pod.securityContext.fsGroup).toBe(pod.securityContext.runAsGroup);
  });

  test("is given the time that a stop may take", async () => {
    const { pod, container } = podOf(await manifest());
    const SLOWEST_STOP_SECONDS = 20;
    const needed = container.lifecycle.preStop.sleep.seconds + SLOWEST_STOP_SECONDS;
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(needed);
  });
});

test.each([
  [["--store", "none"], "docs/KUBERNETES.md has what pods without one need"],
  [["--store", "sqlite:./x.db"], "pods share no file: give spanner:"],
  [["--store", "spanner:projects/p/instances/I/databases/dd"], 'instance "I": use 2 to 64'],
  [["--name", "Two"], "give lower-case letters"],
  [["--name", "2"], "beginning with a letter"],
  [["--name", "ends-"], "give lower-case letters"],
  [["--name", "a\n  b: c"], "give lower-case letters"],
  [["--namespace", "a_b"], "give lower-case letters"],
  [["--image", "a b"], "give an image"],
  [["--image", 'a"\n'], "give an image"],
  [["--image", "https://registry.example/hedgerow"], "without a scheme"],
  [["--image", "registry.example/Hedgerow"], "in lower case"],
  [["--image", "hedgerow:"], "give an image"],
  [["--image", "hedgerow@sha256:00"], "give an image"],
  [["--gcp-service-account", "someone"], "give NAME@PROJECT"],
  [["--replicas", "0"], "give a whole number from 1 to 1000"],
])("%p is refused", async (flags, mend) => {
  const { code, stdout, stderr } = await cli(["k8s", "manifest", ...flags]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toStartWith(`hedgerow k8s manifest: ${flags[0]} `);
  expect(stderr).toContain(mend);
});
