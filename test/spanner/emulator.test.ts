import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDatabase, dataClient, databasePath, freshDatabase } from "./database.ts";
import { startEmulator } from "./emulator.ts";
import { findEmulator } from "./find.ts";
import { describeWithEmulator, describeWithOwnEmulator } from "./rule.ts";

const NAME = { project: "hedgerow", instance: "tests", database: "one" };

describe("finding the emulator", () => {
  test("without gcloud the reason says so", () => {
    expect(findEmulator({ PATH: "/nowhere" })).toEqual({
      missing: expect.stringContaining("no gcloud"),
    });
  });

  test("a gcloud without the emulator is told apart, and links are followed to the real one", () => {
    const folder = mkdtempSync(join(tmpdir(), "hedgerow-gcloud-"));
    try {
      for (const part of ["bin", "sdk/bin"]) mkdirSync(join(folder, part), { recursive: true });
      const gcloud = join(folder, "sdk/bin/gcloud");
      writeFileSync(gcloud, "", { mode: 0o755 });
      symlinkSync(gcloud, join(folder, "bin/gcloud"));
      const env = { PATH: join(folder, "bin") };
      expect(findEmulator(env)).toEqual({ missing: expect.stringContaining("gcloud components") });

      mkdirSync(join(folder, "sdk/bin/cloud_spanner_emulator"));
      const binary = join(folder, "sdk/bin/cloud_spanner_emulator/emulator_main");
      writeFileSync(binary, "", { mode: 0o755 });
      expect(findEmulator(env)).toEqual({ binary });
      expect(findEmulator({ ...env, SPANNER_EMULATOR_HOST: "h:1" })).toEqual({ host: "h:1" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("the rule of skipping", () => {
  /** Runs the test file of one test that succeeds, with this environment. */
  const runTests = async (env: NodeJS.ProcessEnv) => {
    const folder = mkdtempSync(join(tmpdir(), "hedgerow-rule-"));
    const kit = (file: string) => JSON.stringify(join(import.meta.dir, file));
    try {
      writeFileSync(
        join(folder, "probe.test.ts"),
        `import { test } from "bun:test";
         import { sharedEmulator } from ${kit("emulator.ts")};
         import { describeWithEmulator } from ${kit("rule.ts")};
         describeWithEmulator("probe", () => { test("answers", async () => { await sharedEmulator(); }); });`,
      );
      const child = Bun.spawn([process.execPath, "test", "./probe.test.ts"], {
        cwd: folder,
        env,
        stdout: "ignore",
        stderr: "pipe",
      });
      return { stderr: await new Response(child.stderr).text(), code: await child.exited };
    } finally {
      rmSync(folder, { recursive: true });
    }
  };

  test("no emulator: skipped, with one line that says why", async () => {
    const { code, stderr } = await runTests({ PATH: "/nowhere" });
    expect(stderr.match(/^SKIPPED: probe: there is no gcloud.*$/gm)).toHaveLength(1);
    expect(stderr).toContain("(skip) probe > answers");
    expect(code).toBe(0);
  });

  test("one that does not start: a failure, not a skip", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hedgerow-gcloud-"));
    try {
      mkdirSync(join(folder, "cloud_spanner_emulator"));
      writeFileSync(join(folder, "gcloud"), "", { mode: 0o755 });
      const broken = "#!/bin/sh\necho no memory >&2\nexit 3\n";
      writeFileSync(join(folder, "cloud_spanner_emulator/emulator_main"), broken, { mode: 0o755 });
      const { code, stderr } = await runTests({ PATH: `${folder}:/bin:/usr/bin` });
      expect(stderr).toContain("the Spanner emulator did not start");
      expect(stderr).toContain("no memory");
      expect(stderr).not.toContain("SKIPPED");
      expect(code).toBe(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describeWithEmulator("the shared emulator", () => {
  test("databases are apart, and dropped when done", async () => {
    const one = await freshDatabase();
    await using two = await freshDatabase();
    expect(two.path).not.toBe(one.path);
    const client = dataClient(one.host);
    const open = (database: string) => client.createSession({ database }, { retry: null });
    await open(one.path);
    await one[Symbol.asyncDispose]();
    await expect(open(one.path)).rejects.toMatchObject({ code: 5 });
    await open(two.path);
    await client.close();
  });
});

describeWithOwnEmulator("an emulator of one's own", () => {
  test("starts again on its port after kill -9, and is empty", async () => {
    await using emulator = await startEmulator();
    const { host } = emulator;
    const path = await createDatabase(host, NAME);
    const client = dataClient(host);
    const open = () => client.createSession({ database: path }, { timeout: 2_000, retry: null });
    await open();
    await emulator.stop("SIGKILL");
    await expect(open()).rejects.toMatchObject({ code: 14 });
    await emulator.start();
    expect(emulator.host).toBe(host);
    expect(await createDatabase(host, NAME)).toBe(databasePath(NAME));
    await client.close();
  });

  test("answers nothing while it is paused, and goes on afterwards", async () => {
    await using emulator = await startEmulator();
    const path = await createDatabase(emulator.host, NAME);
    const client = dataClient(emulator.host);
    const open = (timeout: number) =>
      client.createSession({ database: path }, { timeout, retry: null });
    await open(5_000);
    emulator.pause();
    await expect(open(200)).rejects.toMatchObject({ code: 4 });
    emulator.resume();
    await open(5_000);
    emulator.pause();
    await emulator.stop();
    await client.close();
  });
});
