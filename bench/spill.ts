import { join } from "node:path";
import type { RemoteWork } from "./contenders/spill-remote.ts";
import type { SpillWork } from "./contenders/spill.ts";
import type { Benchmark, Case, Contender, Target } from "./harness.ts";
import { track } from "./processes.ts";
import { atLeastOf } from "./targets.ts";

const MB = 2 ** 20;
const KEY = "mbPerSecond";
const METRICS = [{ key: KEY, title: "MB/s", digits: 0 }];
const LIMITS = {
  append: "a bare set into warm memory",
  batches: "a bare loop over offsets",
  disk: "the machine's own, in pieces of 1 MiB",
  remote: "raw TCP",
  appendAndWrite: "a bare set beside the machine's own write",
  remoteTls: "raw mutual TLS",
} as const;
const OURS = "spill store";
/** What is measured twice differs by as much, on a machine that does nothing else. */
const NOISE = 0.9;

type Work = SpillWork | RemoteWork;

/** Each measurement has a process of its own, which warms up by itself. */
function contender(
  name: string,
  role: Contender["role"],
  script: string,
  work: Omit<Work, "seconds">,
): Contender {
  const path = join(import.meta.dir, "contenders", script);
  const measure = async (seconds: number) => {
    const child = Bun.spawn([process.execPath, path, JSON.stringify({ ...work, seconds })], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    track(child);
    const text = await new Response(child.stdout).text();
    if ((await child.exited) !== 0) throw new Error(`${name}: it failed`);
    return { [KEY]: Number(text) };
  };
  return { name, role, start: async () => ({ measure, [Symbol.asyncDispose]: async () => {} }) };
}

function local(
  title: string,
  task: SpillWork["task"],
  limit: string,
  recordBytes: number,
  targets: readonly Target[],
  peers: Readonly<Record<string, SpillWork["subject"]>> = {},
): Case {
  const work = { task, recordBytes, totalBytes: 256 * MB };
  const here = (name: string, role: Contender["role"], subject: SpillWork["subject"]) =>
    contender(name, role, "spill.ts", { ...work, subject });
  return {
    title,
    metrics: METRICS,
    warmUpSeconds: 0,
    contenders: [
      here(limit, "limit", "bare"),
      here(OURS, "ours", "ours"),
      ...Object.entries(peers).map(([name, subject]) => here(name, "peer", subject)),
    ],
    targets,
  };
}

const BUILDER = "apache-arrow's builder";

function append(recordBytes: number, share: number, title: string): Case {
  const targets = [atLeastOf(OURS, share, LIMITS.append, KEY), atLeastOf(OURS, 10, BUILDER, KEY)];
  return local(`append, ${title}`, "append", LIMITS.append, recordBytes, targets, {
    [BUILDER]: "arrow",
  });
}

function remote(task: RemoteWork["task"]): Case {
  const work = { task, recordBytes: 1024, totalBytes: 256 * MB };
  const there = (name: string, role: Contender["role"], subject: RemoteWork["subject"]) =>
    contender(name, role, "spill-remote.ts", { ...work, subject });
  return {
    title: `${task}, another node's memory, 1 KiB`,
    metrics: METRICS,
    warmUpSeconds: 0,
    contenders: [
      there(LIMITS.remote, "limit", "bare"),
      there(LIMITS.remoteTls, "peer", "bareTls"),
      there(OURS, "ours", "ours"),
      there(`${OURS}, plain text`, "ours", "plain"),
    ],
    targets: [
      atLeastOf(OURS, 0.4, LIMITS.remote, KEY),
      atLeastOf(`${OURS}, plain text`, 0.4, LIMITS.remote, KEY),
    ],
  };
}

function sizes(task: SpillWork["task"], title: string): Case {
  const of = (name: string, role: Contender["role"], totalBytes: number) =>
    contender(name, role, "spill.ts", { subject: "ours", task, recordBytes: 1024, totalBytes });
  return {
    title: `${title}, 1 KiB, by size`,
    metrics: METRICS,
    warmUpSeconds: 0,
    contenders: [of("1 GB", "limit", 1024 * MB), of("4 GB", "ours", 4096 * MB)],
    targets: [atLeastOf("4 GB", NOISE, "1 GB", KEY)],
  };
}

const onDisk = [atLeastOf(OURS, 0.7, LIMITS.disk, KEY)];

export const benchmark: Benchmark = {
  summary: "the spill store: memory, disk and another node, against what the machine can do",
  cases: [
    append(100, 0.8, "100 B"),
    append(1024, 0.8, "1 KiB"),
    append(65_536, 0.7, "64 KiB"),
    local("read batches from memory, 100 B", "batches", LIMITS.batches, 100, [
      atLeastOf(OURS, 0.77, LIMITS.batches, KEY),
    ]),
    local("write to disk, 1 KiB", "diskWrite", LIMITS.disk, 1024, onDisk, {
      [LIMITS.appendAndWrite]: "pair",
    }),
    local("read from disk, 1 KiB", "diskRead", LIMITS.disk, 1024, onDisk),
    remote("write"),
    remote("read"),
    sizes("append", "append to memory"),
    sizes("diskWrite", "write to disk"),
    sizes("diskRead", "read from disk"),
  ],
};
