// Runs a root file system as Kubernetes runs the image. Imports nothing of src.
import { describe } from "bun:test";
import { readFileSync } from "node:fs";
import { chown, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BASE_ENV, NONROOT } from "./base-image.ts";
import { until } from "./processes.ts";

/**
 * As process 1, as the base's user, without a way to more rights, on a read-only root with its data folder
 * and /proc, and on this machine's network. The mounts end with the process.
 */
const RUN = `
root=$1 data=$2
shift 2
mount --bind "$root" "$root" &&
mount --bind "$data" "$root/data" &&
mount -o remount,bind,ro "$root" &&
exec setpriv --no-new-privs unshare --pid --fork \
  --root="$root" --wd=/data --mount-proc=/proc --setuid=${NONROOT} --setgid=${NONROOT} "$@"`;

/** Ends with this process, whatever happens to the tests. */
const running = new Set<Container>();
process.on("exit", () => {
  for (const container of running) container.kill();
});

const START_MS = 10_000;
const STOP_MS = 20_000;

/** Tests that run containers, with these tools. Where that cannot be one line on stderr says why they are skipped. */
export function describeWithContainers(
  name: string,
  tools: readonly string[],
  tests: () => void,
): void {
  const missing = whatIsMissing(tools);
  if (missing === null) {
    describe(name, tests);
  } else {
    process.stderr.write(`SKIPPED: ${name}: ${missing}\n`);
    describe.skip(name, tests);
  }
}

function whatIsMissing(tools: readonly string[]): string | null {
  if (process.platform !== "linux") return "containers need Linux";
  if (process.getuid?.() !== 0) return "containers without an engine need root";
  const needed = ["unshare", "setpriv", "mount", "ldd", ...tools];
  const tool = needed.find((name) => Bun.which(name) === null);
  return tool === undefined ? null : `there is no ${tool}`;
}

/** A folder for a container's data. */
export async function makeData(): Promise<string> {
  const data = await mkdtemp(join(tmpdir(), "hedgerow-data-"));
  await chown(data, NONROOT, NONROOT);
  return data;
}

export interface ContainerOptions {
  readonly root: string;
  /** Mounted as /data; belongs to the base's user. */
  readonly data: string;
  /** Beside the base's own. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One run of the binary, which lies in the image as /hedgerow. Disposing kills it. */
export class Container implements AsyncDisposable {
  readonly ended: Promise<Ended>;
  readonly #outer: Bun.Subprocess<"ignore", "pipe", "pipe">;

  constructor(options: ContainerOptions, args: readonly string[]) {
    const { root, data, env } = options;
    const script = ["sh", "-c", RUN, "sh", root, data, "/hedgerow", ...args];
    this.#outer = Bun.spawn(["unshare", "--mount", "--propagation", "private", ...script], {
      env: { ...BASE_ENV, ...env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    running.add(this);
    this.ended = this.#end();
  }

  /** Runs to the end, which must come by itself. */
  static async run(options: ContainerOptions, ...args: string[]): Promise<Ended> {
    await using container = new Container(options, args);
    const timer = setTimeout(() => container.kill(), START_MS);
    const ended = await container.ended;
    clearTimeout(timer);
    return ended;
  }

  /** Process id outside, of what is process 1 inside. */
  async pid(): Promise<number> {
    let found: number | undefined;
    await until("the binary runs", START_MS, () => {
      found = this.#children().find((pid) => textOf(`/proc/${pid}/comm`) === "hedgerow\n");
      return found !== undefined;
    });
    return found as number;
  }

  /** Sends SIGTERM, as the kubelet does; the end must come in time. */
  async stop(): Promise<Ended> {
    process.kill(await this.pid(), "SIGTERM");
    const timer = setTimeout(() => this.kill(), STOP_MS);
    const ended = await this.ended;
    clearTimeout(timer);
    return ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.ended;
  }

  /** Stopped first, the outer process starts nothing that would be left behind. */
  kill(): void {
    if (this.#outer.exitCode !== null || this.#outer.signalCode !== null) return; // its id may be another's now
    this.#outer.kill("SIGSTOP");
    for (const pid of this.#children()) process.kill(pid, "SIGKILL");
    this.#outer.kill("SIGKILL");
  }

  #children(): number[] {
    const { pid } = this.#outer;
    const children = textOf(`/proc/${pid}/task/${pid}/children`).split(" ");
    return children.map(Number).filter((child) => child > 0);
  }

  async #end(): Promise<Ended> {
    const [stdout, stderr, code] = await Promise.all([
      new Response(this.#outer.stdout).text(),
      new Response(this.#outer.stderr).text(),
      this.#outer.exited,
    ]);
    running.delete(this);
    return { code, stdout, stderr };
  }
}

/** Of a file under /proc; empty if its process has gone. */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
