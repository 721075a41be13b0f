import { expect, test } from "bun:test";
import { cli } from "./cli-kit.ts";
import { freePorts, inFolder, Process, until } from "./process-kit.ts";

const HOST = "127.0.0.1";

interface Status {
  readonly leader: string;
  readonly members: readonly unknown[];
}

/** What dev prints of a node. */
interface Row {
  readonly node: number;
  readonly state: string;
  readonly members: number | null;
}

/** A node without a store, ready or not. */
function serve(folder: string, port: number, join: number): Process {
  const listeners = ["--peer-addr", `${HOST}:${port}`, "--http-addr", `${HOST}:${port + 1}`];
  const own = ["--store", "none", "--tls", "none", "--join", `${HOST}:${join}`];
  return new Process(["serve", ...listeners, ...own], folder);
}

const readyAt = async (port: number) =>
  (await fetch(`http://${HOST}:${port}/readyz`).catch(() => null))?.status ?? 0;

async function statusAt(port: number): Promise<Status> {
  const answer = await fetch(`http://${HOST}:${port}/hedgerow.v1.HedgerowService/Status`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  return { leader: "", members: [], ...((await answer.json()) as Partial<Status>) };
}

test(
  "serve --store none: a node waits for those that it is to join, and needs no file",
  () =>
    inFolder(async (folder) => {
      const port = freePorts(4);
      const [first, second] = [port, port + 2];
      const early = serve(folder, second, first);
      const nodes = [early];
      try {
        await until("it says what is missing", async () => (await readyAt(second + 1)) === 503);
        nodes.push(serve(folder, first, first));
        await until("the first is ready at once", async () => (await readyAt(first + 1)) === 200);
        await until("the second has joined", async () => (await readyAt(second + 1)) === 200);
        const { leader, members } = await statusAt(second + 1);
        expect({ leader, members: members.length }).toEqual({ leader: "", members: 2 });
        const put = await fetch(`http://${HOST}:${first + 1}/put`, { method: "POST", body: "k v" });
        expect([put.status, await put.text()]).toEqual([
          501,
          "put needs a store, and there is none: start all nodes with one --store, such as sqlite:./hedgerow.db",
        ]);
        for (const node of nodes) node.child.kill("SIGTERM");
        expect(await Promise.all(nodes.map((node) => node.ended()))).toEqual([0, 0]);
      } finally {
        for (const node of nodes) node.child.kill("SIGKILL");
        await Promise.all(nodes.map((node) => node.ended()));
      }
    }),
  90_000,
);

test(
  "dev --store none: all are members, and nobody waits for a leader",
  () =>
    inFolder(async (folder) => {
      const port = freePorts(4);
      const ports = ["--http-port", `${port}`, "--peer-port", `${port + 2}`];
      const argv = ["dev", "--nodes", "2", ...ports, "--store", "none", "--json"];
      const process = new Process(argv, folder);
      try {
        await until("both are ready", () => {
          const rows = process.stdout.split("\n").slice(0, -1);
          return [1, 2].every((node) =>
            rows.some((row) => {
              const shown = JSON.parse(row) as Row;
              return shown.node === node && shown.state === "ready" && shown.members === 2;
            }),
          );
        });
        process.child.kill("SIGINT");
        expect(await process.ended()).toBe(0);
      } finally {
        process.child.kill("SIGTERM");
        await process.ended();
      }
    }),
  90_000,
);

test("what needs a store, or a place for the authority, says so", async () => {
  const listeners = ["--peer-addr", `${HOST}:0`, "--http-addr", `${HOST}:0`];
  expect(await cli(["serve", ...listeners, "--store", "none"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(
      `tls auto keeps the cluster's authority in the store, and there is none: choose { cert, key, ca } (--tls files) or "none" (--tls none)`,
    ),
  });
  for (const command of ["print", "apply"]) {
    expect(await cli(["schema", command, "--store", "none"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("--store none has no tables"),
    });
  }
  const doctor = await cli(["doctor", "--store", "none", ...listeners]);
  expect(doctor.stdout).toContain(
    "sharders and spill stores do without; serve takes it with --tls files or none",
  );
});
