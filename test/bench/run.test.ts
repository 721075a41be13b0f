import { expect, test } from "bun:test";
import { join } from "node:path";

const script = join(import.meta.dir, "../../bench/run.ts");

/** Runs the benchmarks as a user does, on a machine that has nothing installed. */
async function bench(...args: string[]) {
  const child = Bun.spawn([process.execPath, script, ...args], {
    env: { PATH: "/nowhere" },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr: stderr.trim(), code };
}

test("without a name it lists the benchmarks, and which of them take --store spanner", async () => {
  const { stdout, code } = await bench();
  expect(code).toBe(0);
  expect(stdout).toMatch(/^put .*\(also --store spanner\)$/m);
  expect(stdout).toMatch(/^send .*reaches$/m);
});

test("a benchmark that the store does not have is refused, and those that it has are named", async () => {
  expect(await bench("put", "send", "--store", "spanner")).toMatchObject({
    code: 1,
    stderr: "send has no --store spanner: there are put, get",
  });
  expect(await bench("puts")).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^no benchmark puts: there are rpc, put, get, /),
  });
  expect(await bench("put", "--store", "redis")).toMatchObject({
    code: 1,
    stderr: "--store redis: give sqlite or spanner",
  });
});

test("without the Spanner emulator nothing is measured, and the table says why", async () => {
  const { stdout, code } = await bench("put", "get", "--store", "spanner", "--rounds", "1");
  expect(code).toBe(0);
  expect(stdout).toMatch(/^ours, from a follower .*not measured: there is no gcloud/m);
  expect(stdout).toMatch(/target .*at least 0.8 of bare strong read: not measured/);
});
