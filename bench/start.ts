import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { binaryWithoutSpanner, compiled, hedgerowBinary, serveArguments } from "./binary.ts";
import type { Benchmark, Contender, Sample } from "./harness.ts";
import { endProcess, freePort, removeFolder, scratchFolder, track } from "./processes.ts";
import { atMostAbove, atMostTimes } from "./targets.ts";

const ANSWER_DEADLINE_MS = 10_000;
const IDLE_MS = 3_000;

/** Asks without a pause, so that the answer is not waited for longer than it takes. */
async function untilAnswered(url: string): Promise<void> {
  const end = performance.now() + ANSWER_DEADLINE_MS;
  for (;;) {
    try {
      const response = await fetch(url);
      await response.arrayBuffer();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
  }
}

async function residentMegabytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

/** From exec to the first answer of the HTTP listener, and the memory once it has idled. */
async function startOnce(command: readonly string[], port: number, cwd: string): Promise<Sample> {
  const started = performance.now();
  const child = Bun.spawn([...command], {
    cwd,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "inherit",
  });
  track(child);
  try {
    await untilAnswered(`http://127.0.0.1:${port}/livez`);
    const startMs = performance.now() - started;
    await Bun.sleep(IDLE_MS);
    return { startMs, residentMb: await residentMegabytes(child.pid) };
  } finally {
    await endProcess(child);
  }
}

/** Each run has a folder of its own, empty at first. */
function starter(
  name: string,
  role: Contender["role"],
  binary: (folder: string) => Promise<string>,
  argumentsIn: (folder: string, port: number) => string[],
): Contender {
  return {
    name,
    role,
    async start() {
      const folder = await scratchFolder();
      const path = await binary(folder);
      return {
        async measure() {
          const cwd = await scratchFolder();
          const port = freePort();
          try {
            return await startOnce([path, ...argumentsIn(cwd, port)], port, cwd);
          } finally {
            await removeFolder(cwd);
          }
        },
        [Symbol.asyncDispose]: () => removeFolder(folder),
      };
    },
  };
}

const BARE = "bare Bun.serve";
const OURS = "hedgerow serve";
const WITHOUT = "hedgerow serve, no Spanner in it";

const sqliteNode = (folder: string, httpPort: number) =>
  serveArguments({ store: join(folder, "hedgerow.db"), peerPort: freePort(), httpPort });

const bareServe = join(import.meta.dir, "contenders/bare-serve.ts");

export const benchmark: Benchmark = {
  summary: `compiled binary from exec to its first HTTP answer, and memory after ${IDLE_MS / 1000} s`,
  cases: [
    {
      title: "start",
      metrics: [
        { key: "startMs", title: "ms", digits: 1 },
        { key: "residentMb", title: "RSS MB", digits: 1 },
      ],
      warmUpSeconds: 0.1,
      contenders: [
        starter(
          BARE,
          "limit",
          (folder) => compiled(bareServe, folder),
          (_, port) => [String(port)],
        ),
        starter(OURS, "ours", hedgerowBinary, sqliteNode),
        starter(WITHOUT, "peer", binaryWithoutSpanner, sqliteNode),
      ],
      targets: [
        atMostTimes(OURS, 5, BARE, "startMs"),
        atMostAbove(OURS, 30, BARE, "residentMb"),
        atMostTimes(OURS, 1.1, WITHOUT, "startMs"),
        atMostTimes(OURS, 1.1, WITHOUT, "residentMb"),
      ],
    },
  ],
};
