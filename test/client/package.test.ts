import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { closeAll, serving } from "./client-kit.ts";

// The package as it is published: packed, installed in an empty folder, and used from there.

const root = join(import.meta.dir, "../..");

/** A program of somebody who has nothing of ours but the package. */
const PROGRAM = `
import { createClient, HedgerowError } from "hedgerow/client";
const client = createClient({ addresses: process.argv.slice(2) });
const { id } = await client.put({ key: "k", value: "from outside" });
const { entries } = await client.get({ key: "k" });
const nodes = [];
for await (const { node } of client.broadcast({ data: new TextEncoder().encode("hi") })) nodes.push(node);
let members = 0;
for await (const list of client.watchMembers({})) {
  members = list.members.length;
  break;
}
// Each message is sent when the reply to the one before has come.
const told = [];
const turns = [later(), later(), later()];
async function* messages() {
  for (const [i, turn] of turns.entries()) {
    yield { part: { case: "data", value: new TextEncoder().encode("turn " + i) } };
    await turn.promise;
  }
}
function later() {
  let resolve;
  return { promise: new Promise((done) => { resolve = done; }), resolve: () => resolve() };
}
for await (const { data } of client.streamToLeader(messages())) {
  told.push(new TextDecoder().decode(data));
  turns[told.length - 1].resolve();
}
const error = await client.put({ key: "k", value: "v", id: "taken" }).catch((error) => error);
console.log(JSON.stringify({
  same: entries[0].id === id,
  value: entries[0].value,
  nodes,
  members,
  told,
  typed: error instanceof HedgerowError,
  code: error.code,
}));
`;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-package-"));
  await run(root, "npm", "pack", "--silent", "--pack-destination", folder);
  const [tarball] = await readdir(folder);
  await mkdir(join(folder, "app"));
  const app = { name: "app", private: true, type: "module" };
  await writeFile(join(folder, "app/package.json"), JSON.stringify(app));
  await run(join(folder, "app"), process.execPath, "add", "--prefer-offline", `../${tarball}`);
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(closeAll);

/** What it printed; throws what it said if it failed. */
async function run(cwd: string, ...command: string[]): Promise<string> {
  // For npm's script, that it finds this Bun.
  const path = `${join(root, "node_modules/.bin")}:${process.env.PATH}`;
  const child = Bun.spawn(command, {
    cwd,
    env: { ...process.env, PATH: path },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 50_000,
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")}: ${code}\n${stdout}${stderr}`);
  return stdout;
}

test("the client runs under Node, installed from the tarball", async () => {
  const app = join(folder, "app");
  await writeFile(join(app, "program.mjs"), PROGRAM);
  const nobody = "http://127.0.0.1:1";
  expect(JSON.parse(await run(app, "node", "program.mjs", nobody, serving()))).toEqual({
    same: true,
    value: "from outside",
    nodes: ["10.0.0.1:8080", "10.0.0.2:8080"],
    members: 2,
    told: ["streamed turn 0", "streamed turn 1", "streamed turn 2"],
    typed: true,
    code: "conflict",
  });
}, 60_000);

test("its declarations stand by themselves, and know the methods", async () => {
  const app = join(folder, "app");
  const options = { strict: true, module: "nodenext", target: "es2023", types: [], noEmit: true };
  const config = { compilerOptions: options, include: ["typed.ts"] };
  await writeFile(join(app, "tsconfig.json"), JSON.stringify(config));
  const lines = [
    'import { createClient, type Entry, HedgerowError } from "hedgerow/client";',
    'const client = createClient({ addresses: "http://127.0.0.1:9090" });',
    'export const entries: Entry[] = (await client.get({ key: "k", limit: 3n })).entries;',
    "export const codeOf = (error: HedgerowError): string => error.code;",
  ];
  await writeFile(join(app, "typed.ts"), lines.join("\n"));
  await run(app, process.execPath, "check");
  await writeFile(join(app, "typed.ts"), [...lines, "await client.get({ kee: 1 });"].join("\n"));
  await expect(run(app, process.execPath, "check")).rejects.toThrow("kee");
}, 60_000);

test("what is packed is what the exports need, and no test", async () => {
  const packed = join(folder, "app/node_modules/hedgerow");
  const files = (await readdir(packed)).filter((name) => !name.startsWith(".")); // Bun's own mark
  const expected = ["LICENSE", "README.md", "dist", "docs", "package.json", "proto", "src"];
  expect(files.sort()).toEqual(expected);
  expect(await readdir(join(packed, "dist"))).toEqual(["client"]);
});
