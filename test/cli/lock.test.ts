import { expect, test } from "bun:test";
import { cli } from "./cli-kit.ts";

test.each([
  [["lock"], "hedgerow lock: missing required argument 'NAME': see \"hedgerow lock --help\""],
  [
    ["lock", "jobs"],
    "hedgerow lock: missing required argument 'COMMAND': see \"hedgerow lock --help\"",
  ],
  [
    ["lock", "jobs", "--lease", "500ms", "--", "true"],
    "hedgerow lock: --lease 500ms: must be at least 1s",
  ],
  [
    ["lock", "jobs", "--wait", "soon", "--", "true"],
    "hedgerow lock: --wait soon: give a number with its unit, as in 500ms, 30s or 2m",
  ],
  [
    ["semaphore", "acquire", "jobs", "--", "true"],
    "hedgerow semaphore acquire: --limit is missing: give a whole number from 1 to 4294967295",
  ],
])("bad usage of lock is one line and code 2: %p", async (argv, line) => {
  expect(await cli(argv)).toEqual({ code: 2, stdout: "", stderr: `${line}\n` });
});

test("without a server nothing is run", async () => {
  const marker = "must not run";
  const ran = await cli(["lock", "jobs", "--server", "http://127.0.0.1:1", "--", "echo", marker]);
  expect(ran).toEqual({
    code: 1,
    stdout: "",
    stderr:
      'hedgerow lock: no server answers at http://127.0.0.1:1: start one with "hedgerow dev", or name another with --server\n',
  });
});
