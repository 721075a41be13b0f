import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cluster, freePorts, type Node, until } from "./processes.ts";

// The services of examples/ behind the nodes of a cluster: one each, as the containers of three pods.

const examples = join(import.meta.dir, "../../examples/sidecar");
const KEY = "5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8";
const LISTENER = Bun.which("socat") === null ? "perl" : "socat";

const LANGUAGES = [
  {
    language: "python",
    needs: ["python3"],
    command: (port: string, keys: string) => [
      ...["python3", join(examples, "service.py"), "--port", port, "--key-file", keys],
    ],
  },
  {
    language: "shell",
    needs: ["sh", "awk", "sha256sum", "od", LISTENER],
    command: (port: string, keys: string) => [join(examples, "service.sh"), port, keys],
  },
];

/** What a node's service is started with, and the process that is it. */
interface Service {
  readonly port: number;
  child: Bun.Subprocess;
}

for (const { language, needs, command } of LANGUAGES) {
  const missing = needs.find((name) => Bun.which(name) === null);
  if (missing !== undefined)
    console.log(`skipped: the sidecar in ${language}, which needs ${missing}`);

  describe.skipIf(missing !== undefined)(`a sidecar in ${language}`, () => {
    let folder: string;
    let keys: string;
    let cluster: Cluster;
    let services: Service[];

    const start = (port: number) =>
      Bun.spawn(command(String(port), keys), { stdout: "ignore", stderr: "inherit" });
    const listens = (port: number) =>
      fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: "" }).then(
        ({ status }) => status === 401,
        () => false,
      );

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "hedgerow-sidecar-"));
      keys = join(folder, "keys");
      await writeFile(keys, `${KEY}\n`, { mode: 0o600 });
      const [a, b, c, ...rest] = await freePorts(9);
      services = [a, b, c].map((port = 0) => ({ port, child: start(port) }));
      const places = services.map(({ port }, i) => ({
        peer: `127.0.0.1:${rest[2 * i]}`,
        http: `127.0.0.1:${rest[2 * i + 1]}`,
        within: [
          "env",
          `HEDGEROW_ON_SEND=http://127.0.0.1:${port}/send`,
          `HEDGEROW_ON_BROADCAST=http://127.0.0.1:${port}/broadcast?all`,
        ],
      }));
      cluster = await Cluster.start({ places, flags: ["--callback-key-file", keys] });
      for (const { port } of services) await until("it listens", 10_000, () => listens(port));
    }, 30_000);

    afterAll(async () => {
      await cluster?.[Symbol.asyncDispose]();
      for (const { child } of services ?? []) {
        child.kill();
        await child.exited;
      }
      await rm(folder, { recursive: true });
    });

    /** What the client API answers: bytes as text. */
    const send = async (node: Node, text: string) => {
      const answer = await node.call<{ data: string }>("Send", { data: btoa(text) });
      return answer.ok ? atob(answer.value.data) : answer;
    };
    const replyOf = (kind: string, node: Node, attempt: number | string, text: string) =>
      `${kind} by ${language} at ${node.address}, attempt ${attempt}: ${text}`;
    const serviceOf = (node: Node) => services[cluster.nodes.indexOf(node)] as Service;

    test("leader and others have their messages answered by the service beside the node", async () => {
      const leader = await cluster.settled();
      for (const node of cluster.nodes) {
        expect(await send(node, "hello")).toBe(replyOf("send", leader, 1, "hello"));
        const { status, text } = await node.demo("/broadcast", "to all");
        expect(status).toBe(200);
        for (const member of cluster.nodes) {
          expect(text).toContain(`reply=${replyOf("broadcast", member, 1, "to all")}\n`);
        }
      }
    }, 30_000);

    test("through a change of the leader no message is lost, and the next leader's service answers", async () => {
      const leader = await cluster.settled();
      const [caller] = cluster.nodes.filter((node) => node !== leader) as [Node];
      leader.signal("SIGKILL");
      await leader.exited();
      // Sent while nobody leads: it is tried again until somebody does.
      const { status, text } = await caller.demo("/send", "meanwhile");
      const next = await cluster.settled();
      expect(next).not.toBe(leader);
      expect(status).toBe(200);
      expect(text).toMatch(new RegExp(`reply=${replyOf("send", next, "\\d+", "meanwhile")}$`));
      leader.start();
      expect(await cluster.settled()).toBe(next);
      for (const node of cluster.nodes) {
        expect(await send(node, "after")).toBe(replyOf("send", next, 1, "after"));
      }
      const all = await leader.demo("/broadcast", "all again");
      expect(all.text.match(/broadcast by/g)?.length).toBe(3);
    }, 40_000);

    test("a dead service is a clear error for the caller and one warning; alive again it answers", async () => {
      const leader = await cluster.settled();
      const [caller] = cluster.nodes.filter((node) => node !== leader) as [Node];
      const service = serviceOf(leader);
      service.child.kill("SIGKILL");
      await service.child.exited;
      const said = `the service at http://127.0.0.1:${service.port}/send cannot be reached: ECONNREFUSED`;
      for (let i = 0; i < 3; i++) {
        expect(await send(caller, "x")).toMatchObject({ code: "internal", message: said });
      }
      const warnings = leader.stderr.split("\n").filter((line) => line.includes("did not take"));
      expect(warnings.length).toBe(1);
      // Membership and the lease do not depend on it, and the others' services answer broadcasts.
      expect((await caller.status())?.members?.length).toBe(3);
      expect((await caller.demo("/broadcast", "x")).text.match(/broadcast by/g)?.length).toBe(2);
      service.child = start(service.port);
      await until("it listens", 10_000, () => listens(service.port));
      expect(await send(caller, "back")).toBe(replyOf("send", leader, 1, "back"));
    }, 30_000);
  });
}
