import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmod, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openTokenFile, RELOAD_TOKENS_MS } from "../../src/http/token-file.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { RecordingLogger } from "../rpc/kit/nodes.ts";
import { until } from "../rpc/kit/wait.ts";

const OLD = "old-0123456789abcdef";
const NEW = "new-0123456789abcdef";

let folder = "";
let path = "";
let clock: ManualClock;
let logger: RecordingLogger;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hedgerow-tokens-"));
  path = join(folder, "tokens");
  clock = new ManualClock();
  logger = new RecordingLogger();
});
afterEach(() => rm(folder, { recursive: true }));

/** As Kubernetes does: another file takes the name. */
async function write(text: string, mode = 0o640): Promise<void> {
  await writeFile(`${path}.new`, text);
  await chmod(`${path}.new`, mode);
  await rename(`${path}.new`, path);
}

/** Looks at the file, and waits until the next look is set. */
async function look(): Promise<void> {
  clock.pass(RELOAD_TOKENS_MS);
  await until("it has looked", () => clock.timers.size === 1);
}

test("a token that comes or goes counts, or not, from the next look on", async () => {
  await write(`rw ${OLD}\n`);
  const tokens = await openTokenFile(path, { clock, logger });
  await write(`ro ${OLD}\nrw ${NEW}\n`);
  expect([OLD, NEW].map(tokens.permissionOf)).toEqual(["write", null]);
  await look();
  expect([OLD, NEW].map(tokens.permissionOf)).toEqual(["read", "write"]);
  await write(`rw ${NEW}\n`);
  await look();
  expect([OLD, NEW].map(tokens.permissionOf)).toEqual([null, "write"]);
  tokens.close();
  expect(clock.timers.size).toBe(0);
  expect(logger.lines.join()).not.toContain("0123456789abcdef");
});

test("a file that cannot be used, or has gone, changes nothing and is said once", async () => {
  await write(`rw ${OLD}\n`);
  const tokens = await openTokenFile(path, { clock, logger });
  const warnings = () => logger.lines.filter((line) => line.includes("not usable")).length;
  await write("rw\n");
  await look();
  await look();
  expect(warnings()).toBe(1);
  await rm(path);
  await look();
  await look();
  expect(warnings()).toBe(2);
  expect(tokens.permissionOf(OLD)).toBe("write");
  await write(`rw ${NEW}\n`);
  await look();
  expect([OLD, NEW].map(tokens.permissionOf)).toEqual([null, "write"]);
  tokens.close();
});

test("a file that every user may read is warned of, one for its group is not", async () => {
  await write(`rw ${OLD}\n`);
  (await openTokenFile(path, { clock, logger })).close();
  expect(logger.lines).toEqual([]);
  await write(`rw ${OLD}\n`, 0o644);
  (await openTokenFile(path, { clock, logger })).close();
  expect(logger.lines).toEqual([
    `every user of this machine may read --client-token-file ${path}: chmod o= it {}`,
  ]);
});

test("without a file that serves nothing starts", async () => {
  const opened = openTokenFile(path, { clock, logger });
  await expect(opened).rejects.toMatchObject({
    code: "invalid_argument",
    message: expect.stringContaining(`--client-token-file ${path} cannot be read: ENOENT`),
  });
  await write("# none\n");
  await expect(openTokenFile(path, { clock, logger })).rejects.toThrow(
    `--client-token-file ${path} lists no token: give rw TOKEN`,
  );
  expect(clock.timers.size).toBe(0);
});
