import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BASE_ENV, makeBase, makeBuilder, NONROOT } from "./base-image.ts";
import { Container, describeWithContainers, makeData } from "./container.ts";
import { freePorts, until } from "./processes.ts";

const repository = join(import.meta.dir, "../..");
const BUILD_MS = 300_000;

/** As `inspect` shows it. */
interface Config {
  readonly User: string;
  readonly ExposedPorts: Readonly<Record<string, object>>;
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Volumes: Readonly<Record<string, object>>;
  readonly WorkingDir: string;
}

/** buildah with all that it keeps in one folder. */
class Builder {
  constructor(private readonly folder: string) {}

  async run(...args: string[]): Promise<string> {
    const storage = ["--root", join(this.folder, "store"), "--runroot", join(this.folder, "run")];
    const child = Bun.spawn(["buildah", ...storage, "--storage-driver", "vfs", ...args], {
      cwd: repository,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      timeout: BUILD_MS,
    });
    const [stdout, stderr, code] = await Promise.all([
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
      child.exited,
    ]);
    if (code !== 0) throw new Error(`buildah ${args[0]} ended with ${code}\n${stdout}${stderr}`);
    return stdout.trim();
  }

  /** An image of the files that `make` puts into an empty folder. */
  async image(name: string, make: (root: string) => Promise<void>): Promise<void> {
    const root = join(this.folder, "root");
    await mkdir(root);
    await make(root);
    const container = await this.run("from", "scratch");
    await this.run("add", container, root, "/");
    const env = Object.entries(BASE_ENV).flatMap(([key, value]) => ["--env", `${key}=${value}`]);
    await this.run("config", ...env, container);
    await this.run("commit", "--rm", container, name);
    await rm(root, { recursive: true });
  }
}

describeWithContainers("the Dockerfile", ["buildah"], () => {
  let folder: string;
  let config: Config;
  /** The image's files. */
  let root: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "hedgerow-build-"));
    const builder = new Builder(folder);
    await builder.image("docker.io/oven/bun:1.4.5", makeBuilder);
    await builder.image("gcr.io/distroless/base-debian12:nonroot", makeBase);
    // What bun has downloaded before it need not download again.
    const cache = (await Bun.$`${process.execPath} pm cache`.text()).trim();
    const cached = ["--volume", `${cache}:/root/.bun/install/cache`];
    await builder.run(
      "build",
      "--pull-never",
      "--isolation",
      "chroot",
      ...cached,
      "-t",
      "hedgerow",
      ".",
    );
    const inspected = await builder.run("inspect", "--type", "image", "hedgerow");
    config = (JSON.parse(inspected) as { OCIv1: { config: Config } }).OCIv1.config;
    root = await builder.run("mount", await builder.run("from", "--pull-never", "hedgerow"));
  }, BUILD_MS);

  afterAll(() => rm(folder, { recursive: true }));

  test("runs the binary as the base's user, in the folder that it may write to", async () => {
    expect(config).toMatchObject({
      User: `${NONROOT}:${NONROOT}`,
      WorkingDir: "/data",
      Volumes: { "/data": {} },
      ExposedPorts: { "8080/tcp": {}, "9090/tcp": {} },
      Entrypoint: ["/hedgerow"],
      Cmd: ["serve"],
    });
    const data = await stat(join(root, "data"));
    expect([data.uid, data.gid]).toEqual([NONROOT, NONROOT]);
  });

  test("adds the binary and its folder to the base, and nothing else", async () => {
    const base = join(folder, "base");
    await mkdir(base);
    await makeBase(base);
    const all = async (at: string) => (await readdir(at, { recursive: true })).sort();
    const added = (await all(root)).filter((path) => !path.startsWith("dev"));
    expect(added).toEqual([...(await all(base)), "data", "hedgerow"].sort());
    const { size, mode, uid } = await stat(join(root, "hedgerow"));
    expect(size).toBeLessThan(150e6);
    expect({ mode: mode & 0o777, uid }).toEqual({ mode: 0o755, uid: 0 });
  });

  test("makes what serves on a read-only root", async () => {
    const data = await makeData();
    try {
      const [peer, http] = await freePorts(2);
      const env = {
        HEDGEROW_PEER_ADDR: `127.0.0.1:${peer}`,
        HEDGEROW_HTTP_ADDR: `127.0.0.1:${http}`,
      };
      await using container = new Container({ root, data, env }, config.Cmd);
      await until("it is ready", 15_000, async () => {
        const response = await fetch(`http://127.0.0.1:${http}/readyz`).catch(() => null);
        return response?.status === 200;
      });
      const put = { method: "POST", body: "key value" };
      const answer = await fetch(`http://127.0.0.1:${http}/put`, put);
      expect(await answer.text()).toContain("key=key, value=value");
      expect((await container.stop()).code).toBe(0);
      expect(await readdir(data)).toContain("hedgerow.db");
    } finally {
      await rm(data, { recursive: true });
    }
  }, 30_000);
});
