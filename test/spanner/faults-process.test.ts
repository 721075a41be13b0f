import { expect, test } from "bun:test";
import { leaseTiming } from "../../src/lock/timing.ts";
import { freePorts, inFolder, Process, until } from "../cli/process-kit.ts";
import { type FaultyWorld, faultyWorld, lockRow, startContender } from "./lease-kit.ts";
import { describeWithEmulator } from "./rule.ts";

const LEASE_MS = 2_000;
const { takeOverAgeMs } = leaseTiming(LEASE_MS);
const TEST_MS = 90_000;
/** Less than the 30 s that Kubernetes gives by default. */
const STOP_MS = 25_000;

interface Status {
  readonly isLeader?: boolean;
  readonly token?: string;
}

/** A node that is killed and started again at the same address. */
class Served implements AsyncDisposable {
  readonly peer: string;
  readonly #http: string;
  #process: Process | null = null;

  constructor(
    private readonly folder: string,
    private readonly path: string,
  ) {
    const port = freePorts(2);
    this.peer = `127.0.0.1:${port}`;
    this.#http = `127.0.0.1:${port + 1}`;
  }

  start(emulatorHost: string): void {
    const store = ["--store", `spanner:${this.path}`, "--lease", `${LEASE_MS}ms`, "--tls", "none"];
    const logs = ["--log-level", "debug"];
    const addresses = ["--peer-addr", this.peer, "--http-addr", this.#http];
    const env = { SPANNER_EMULATOR_HOST: emulatorHost };
    this.#process = new Process(["serve", ...store, ...addresses, ...logs], this.folder, env);
  }

  get stderr(): string {
    return this.#process?.stderr ?? "";
  }

  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  /** The exit code, null after SIGKILL. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.#process?.child.kill(signal);
    return (await this.#process?.ended()) ?? null;
  }

  call(method: string, request: object): Promise<Response> {
    return fetch(`http://${this.#http}/hedgerow.v1.HedgerowService/${method}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
    });
  }

  /** null while it does not answer. */
  async status(): Promise<Status | null> {
    const answer = await this.call("Status", {}).catch(() => null);
    return answer?.ok === true ? ((await answer.json()) as Status) : null;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** Kills the node after its take-over was committed, before it has learned that; gives the token that it took. */
async function dieUnknowing(world: FaultyWorld, node: Served): Promise<number> {
  const reply = world.proxy.loseReplyTo(node.peer);
  node.start(world.proxy.host);
  await reply.passed;
  await until("the take-over is committed", () => lockRow(world.sql));
  expect((await node.status())?.isLeader ?? false).toBe(false);
  await node.kill();
  const { writer, token = 0 } = (await lockRow(world.sql)) ?? {};
  expect(writer).toBe(node.peer);
  return token;
}

describeWithEmulator("a node that dies between winning the lock and learning of it", () => {
  test(
    "L1: the next contender succeeds",
    () =>
      inFolder(async (folder) => {
        await using world = await faultyWorld();
        const { path, emulatorHost: host } = world;
        await using node = new Served(folder, path);
        const stranded = await dieUnknowing(world, node);
        await using next = await startContender({
          path,
          host,
          writer: "10.0.0.2:8080",
          leaseMs: LEASE_MS,
        });
        await until("the next one leads", () => next.lease.claim(), takeOverAgeMs + 20_000);
        const [token = 0] = next.tokens;
        expect((token - stranded) / 1_000).toBeGreaterThanOrEqual(takeOverAgeMs);
      }),
    TEST_MS,
  );

  test(
    "L15: started again at its address it does not believe that it leads, until it took a new token",
    () =>
      inFolder(async (folder) => {
        await using world = await faultyWorld();
        await using node = new Served(folder, world.path);
        const stranded = await dieUnknowing(world, node);
        node.start(world.emulatorHost);
        let followed = 0;
        const status = await until("it leads", async () => {
          const seen = await node.status();
          if (seen === null) return null;
          if (seen.isLeader === true) return seen;
          expect(seen.token ?? "").toBe("");
          followed++;
          return null;
        });
        expect(followed).toBeGreaterThan(0);
        expect((Number(status?.token) - stranded) / 1_000).toBeGreaterThanOrEqual(takeOverAgeMs);
      }),
    TEST_MS,
  );
});

describeWithEmulator("a node that Spanner no longer answers", () => {
  test(
    "C10, C11: SIGTERM ends it by itself, its callers are answered, and no value was logged",
    () =>
      inFolder(async (folder) => {
        await using world = await faultyWorld();
        await using node = new Served(folder, world.path);
        node.start(world.proxy.host);
        await until("it leads", async () => (await node.status())?.isLeader === true);
        const secret = "s3cret-4f1c-value";
        const put = (id: string) => node.call("Put", { key: "k", value: `${secret}-${id}`, id });
        expect((await put("1")).status).toBe(200);
        const commit = world.proxy.loseReplyTo(secret);
        const [under, queued] = [put("2"), put("3")];
        await commit.passed;
        world.proxy.blackHole();
        const get = node.call("Get", { key: "k" });
        const started = performance.now();
        expect(await node.end("SIGTERM")).toBe(0);
        expect(performance.now() - started).toBeLessThan(STOP_MS);
        // Its commit was on its way: it may be there.
        expect((await (await under).json()).code).toBe("unknown");
        for (const { status } of await Promise.all([queued, get])) expect(status).toBe(503);
        expect(node.stderr).toContain("http request");
        expect(node.stderr).not.toContain(secret);
      }),
    TEST_MS,
  );
});
