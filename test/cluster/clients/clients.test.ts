// Clients that are not ours, against the built binary: buf, grpc-js under Node, curl and Python as docs/CLIENTS.md
// shows them. Browsers: test/browser.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { BINARY, Cluster, freePlaces, type Node } from "../processes.ts";

const root = join(import.meta.dir, "../../..");
const bin = join(root, "node_modules/.bin");

let cluster: Cluster;
let leader: Node;
let follower: Node;

beforeAll(async () => {
  cluster = await Cluster.start({ places: await freePlaces(2, { grpc: true }) });
  leader = await cluster.settled();
  follower = cluster.nodes.find((node) => node !== leader) as Node;
}, 30_000);

afterAll(() => cluster[Symbol.asyncDispose]());

async function run(command: readonly string[], withinMs = 30_000) {
  const child = Bun.spawn([...command], {
    cwd: root,
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: withinMs,
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

/** Skipped, and listed so, where the machine lacks the program. */
const testWith = (program: string) => test.skipIf(Bun.which(program) === null);

/** What it printed; throws what it said if it failed. */
async function output(command: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(command);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${code}\n${stdout}${stderr}`);
  return stdout;
}

describe("buf curl, with reflection", () => {
  const PROTOCOLS = [
    ["connect", () => follower.url],
    ["grpcweb", () => follower.url],
    ["grpc", () => `http://${follower.grpc}`],
  ] as const;

  const buf = (protocol: string, url: string, ...more: string[]) => {
    const flags = ["--http2-prior-knowledge", "--protocol", protocol, ...more];
    return run(["buf", "curl", ...flags, url]);
  };

  test.each(PROTOCOLS)(
    "%s: unary calls, streams, errors with their detail",
    async (protocol, at) => {
      const service = `${at()}/hedgerow.v1.HedgerowService`;
      const request = { key: `buf-${protocol}`, value: "v", id: "one" };
      const put = await buf(protocol, `${service}/Put`, "-d", JSON.stringify(request));
      expect(put).toMatchObject({ code: 0, stderr: "" });
      expect(JSON.parse(put.stdout)).toMatchObject({ id: "one" });
      const got = await buf(protocol, `${service}/Get`, "-d", JSON.stringify({ key: request.key }));
      expect(JSON.parse(got.stdout).entries[0].value).toBe("v");

      const told = await buf(protocol, `${service}/Broadcast`, "-d", '{"data": "aGk="}');
      for (const { address } of cluster.nodes)
        expect(told.stdout).toContain(`"node": "${address}"`);

      const other = JSON.stringify({ ...request, value: "other" });
      const conflict = await buf(protocol, `${service}/Put`, "-d", other);
      expect(conflict.code).toBe(6 * 8); // ALREADY_EXISTS
      const { code, details } = JSON.parse(conflict.stderr);
      expect([code, details[0].type]).toEqual(["already_exists", "hedgerow.v1.ErrorDetail"]);
      expect(Buffer.from(details[0].value, "base64").toString()).toContain("conflict");
    },
  );

  test.each(PROTOCOLS)("%s: both versions of reflection, and health", async (protocol, at) => {
    for (const version of ["grpc-v1", "grpc-v1alpha"]) {
      const url = `${at()}/grpc.health.v1.Health/Check`;
      const { stdout } = await buf(protocol, url, "--reflect-protocol", version, "-d", "{}");
      expect(JSON.parse(stdout)).toEqual({ status: "SERVING" });
    }
    const listed = await buf(protocol, at(), "--list-services");
    expect(listed.stdout.split("\n")).toContain("hedgerow.v1.HedgerowService");
  });
});

testWith("node")(
  "@grpc/grpc-js under Node",
  async () => {
    const script = join(import.meta.dir, "grpc-js.mjs");
    const seen = await output(["node", script, join(root, "proto"), follower.grpc]);
    expect(JSON.parse(seen)).toEqual({
      put: "one",
      got: ["v"],
      manyInOrder: true,
      largeWhole: true,
      sent: expect.stringContaining(`/${leader.address}] received the message [hi]`),
      conflict: { code: 6, details: expect.stringContaining("another value"), detail: true },
      tooLarge: { code: 8, details: expect.any(String), detail: true },
      broadcast: cluster.nodes.map(({ address }) => address).sort(),
      canceled: { members: 2, code: 1 },
      deadline: 4,
      turns: ["one", "two", "one", "two", "one", "two"],
      spilled: { written: "500", read: 500, same: true, code: 0 },
      health: { status: "SERVING" },
      nothing: Array(20).fill({
        code: 12,
        details: "nothing is served at /hedgerow.v1.Nothing/Nothing",
        detail: true,
      }),
      noSuchService: 5,
    });
  },
  40_000,
);

testWith("node")(
  "a caller that floods with calls that it leaves is cut off, and others are served",
  async () => {
    const script = join(import.meta.dir, "flood.mjs");
    expect(await output(["node", script, follower.grpc])).toBe("cut off\n");
    const url = `http://${follower.grpc}/grpc.health.v1.Health/Check`;
    const flags = ["--http2-prior-knowledge", "--protocol", "grpc"];
    const health = await output(["buf", "curl", ...flags, "-d", "{}", url]);
    expect(JSON.parse(health)).toEqual({ status: "SERVING" });
    expect(follower.stderr).not.toContain("ERROR");
  },
  40_000,
);

describe("docs/CLIENTS.md", () => {
  /** The first block of code under a heading, asking this cluster's nodes. */
  async function example(heading: string, language: string): Promise<string> {
    const text = await Bun.file(join(root, "docs/CLIENTS.md")).text();
    const section = text.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
    const block = new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(section)?.[1];
    if (block === undefined) throw new Error(`no ${language} under ${heading}`);
    return block
      .replaceAll("http://127.0.0.1:9090", follower.url)
      .replaceAll("127.0.0.1:8181", follower.grpc);
  }

  testWith("curl")("curl", async () => {
    const lines = await example("curl", "sh");
    const seen = await output([
      "sh",
      "-ec",
      lines.replaceAll("curl ", "curl -sS --fail-with-body "),
    ]);
    expect(seen).toContain('{"id":"curl-1",');
    expect(seen).toContain('"value":"hello"');
  });

  test("buf", async () => {
    const seen = await output(["sh", "-ec", await example("buf", "sh")]);
    expect(seen).toContain('"value": "hello"');
    expect(seen).toContain(`"node": "${leader.address}"`);
    expect(seen).toContain("hedgerow.v1.HedgerowService/WatchMembers");
  });

  test("spill stores", async () => {
    const lines = await example("Spill stores", "sh");
    const server = `export HEDGEROW_SERVER=${follower.url}\n`;
    const program = server + lines.replaceAll("hedgerow spill", `${BINARY} spill`);
    const seen = await output(["sh", "-ec", program]);
    expect(seen).toContain("5 records written to new store numbers");
    expect(seen).toContain("\n4\n5\nnumbers holds 5 records of 5 bytes in all");
    expect(seen).toEndWith('{\n  "first": "1",\n  "records": [\n    "dHdv"\n  ]\n}\n');
  });

  testWith("python3")("Python", async () => {
    const seen = await output(["python3", "-c", await example("Python", "python")]);
    expect(seen).toStartWith("hello from Python\n");
    for (const { address } of cluster.nodes) expect(seen).toContain(`${address} node [`);
  });

  test("TypeScript", async () => {
    const client = JSON.stringify(join(root, "src/client/index.ts"));
    const program = (await example("TypeScript: Node, Deno, Bun, browsers", "ts"))
      .replaceAll("http://127.0.0.1:9091", leader.url)
      .replace('"hedgerow/client"', client);
    const seen = await output([process.execPath, "-e", program]);
    expect(seen).toStartWith("true hello\n");
    expect(seen).toContain(`${leader.address} participant`);
    expect(seen).toEndWith("conflict true\n");
  });
});
