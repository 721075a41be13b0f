import { expect, test } from "bun:test";
import manifest from "../../package.json";
import { leftForLater, longFiles, looseVersions, machinePaths } from "./files.ts";
import { type Source, sourceAt, sourcesOf } from "./sources.ts";

const file = (text: string): Source => ({ path: "src/lock/a.ts", text });

test("files have at most 400 lines", async () => {
  expect(longFiles(await sourcesOf("src", "test", "bench", "scripts"))).toEqual([]);
  expect(longFiles([file("a;\n".repeat(400))])).toEqual([]);
  expect(longFiles([file("a;\n".repeat(401))])).toHaveLength(1);
});

test("nothing is left for later", async () => {
  expect(leftForLater(await sourcesOf("src", "test", "bench", "scripts"))).toEqual([]);
  expect(leftForLater([file("a;\n// TO" + "DO: more\n")])).toEqual([
    {
      path: "src/lock/a.ts:2",
      problem: "leaves something for later: do it or drop it",
    },
  ]);
});

test("no path of one machine is named", async () => {
  expect(machinePaths(await sourcesOf("src", "bench", "scripts"))).toEqual([]);
  for (const path of ["/work/main", "/root", "/tmp/x", "/home/someone/x"]) {
    expect(machinePaths([file(`open("${path}");`)]), path).toHaveLength(1);
  }
  const fine = 'import "../work/a.ts"; route("/v1/root"); route("/workers"); dir + "/rooted";';
  expect(machinePaths([file(fine)])).toEqual([]);
});

test("dependencies have exact versions", () => {
  expect(looseVersions(manifest)).toEqual([]);
  const loose = { dependencies: { a: "^1.0.0", b: "1.0.0" }, devDependencies: { c: "latest" } };
  expect(looseVersions(loose)).toEqual(["a@^1.0.0", "c@latest"]);
});

test("the lock file holds no download addresses", async () => {
  expect((await sourceAt("bun.lock")).text).not.toContain("://");
});
