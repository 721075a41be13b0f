// The spill store from the shell, against real processes. Imports nothing of src.
import { createHash } from "node:crypto";
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeSync,
} from "node:fs";
import { BINARY, type Node } from "./processes.ts";

/** Lines of one write to stdin. */
const BLOCK_LINES = 1_000;
const LINE_BYTES = 1_000;

export interface Poured {
  readonly code: number;
  readonly lines: number;
  readonly sha256: string;
  readonly stderr: string;
  /** Records by tier. */
  readonly tiers: Readonly<Record<string, number>>;
}

/** `spill write` of so many bytes, in lines of about 1,000 which all differ. Stops when the command does. */
export async function pour(
  node: Node,
  name: string,
  bytes: number,
  flags: readonly string[] = [],
): Promise<Poured> {
  const child = Bun.spawn(
    [BINARY, "spill", "write", name, "--server", node.url, "--json", ...flags],
    { stdin: "pipe", stdout: "pipe", stderr: "pipe" },
  );
  let ended = false;
  void child.exited.then(() => {
    ended = true;
  });
  const outputs = Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const hash = createHash("sha256");
  const filling = "spill-over store ".repeat(60).slice(0, LINE_BYTES - 12);
  let lines = 0;
  for (let written = 0; written < bytes && !ended;) {
    const block: string[] = [];
    for (let i = 0; i < BLOCK_LINES; i++)
      block.push(`${String(lines++).padStart(10, "0")} ${filling}\n`);
    const text = Buffer.from(block.join(""));
    hash.update(text);
    written += text.length;
    await Promise.race([writeAll(child.stdin, text), child.exited]);
  }
  try {
    await child.stdin.end();
  } catch {
    // it has ended, which its exit code tells
  }
  const code = await child.exited;
  const [stdout, stderr] = await outputs;
  const { tiers = {} } = code === 0 ? JSON.parse(stdout) : {};
  return {
    code,
    lines,
    sha256: hash.digest("hex"),
    stderr,
    tiers: Object.fromEntries(
      Object.entries<{ records: number }>(tiers).map(([tier, { records }]) => [tier, records]),
    ),
  };
}

async function writeAll(stdin: Bun.FileSink, bytes: Uint8Array): Promise<void> {
  try {
    await Promise.all([stdin.write(bytes), stdin.flush()]);
  } catch {
    // it has ended, which its exit code tells
  }
}

export interface ReadBack {
  readonly code: number;
  readonly lines: number;
  /** Number of the first line that was not the next one, -1 if all were. */
  readonly brokenAt: number;
  readonly sha256: string;
  readonly stderr: string;
}

/** `spill read`, with a look at something now and then. */
export async function readBack(
  node: Node,
  name: string,
  from = 0,
  look: () => void = () => {},
): Promise<ReadBack> {
  const child = Bun.spawn(
    [BINARY, "spill", "read", name, "--from", String(from), "--server", node.url],
    { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
  );
  const said = new Response(child.stderr).text();
  const hash = createHash("sha256");
  let lines = 0;
  let brokenAt = -1;
  let rest = Buffer.alloc(0);
  for await (const chunk of child.stdout) {
    hash.update(chunk);
    const text = Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = text.indexOf(10); end !== -1; end = text.indexOf(10, start)) {
      const next = from + lines++;
      if (brokenAt < 0 && Number(text.toString("latin1", start, start + 10)) !== next)
        brokenAt = next;
      start = end + 1;
    }
    rest = text.subarray(start);
    look();
  }
  const code = await child.exited;
  return { code, lines, brokenAt, sha256: hash.digest("hex"), stderr: await said };
}

/** Numbers of the lines of `pour` that stand in a store, as they come. */
export async function numbersOf(node: Node, name: string): Promise<number[]> {
  const child = Bun.spawn([BINARY, "spill", "read", name, "--server", node.url], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const lines = (await new Response(child.stdout).text()).split("\n");
  return lines.slice(0, -1).map((line) => Number(line.slice(0, 10)));
}

/** What spilled records take of the node, and what they may, in bytes. */
export async function spillUse({ url }: Node, medium: "memory" | "disk") {
  const text = await (await fetch(`${url}/metrics`)).text();
  const of = (what: string) =>
    Number(
      new RegExp(`^hedgerow_spill_${what}_bytes\\{medium="${medium}"\\} (.+)$`, "m").exec(
        text,
      )?.[1],
    );
  return { used: of("used"), limit: of("limit") };
}

/** The process's anonymous memory, in bytes. */
export function anonymousBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

/** The files without a name that the process has open in the folder, by paths that open them. */
export function scratchFiles(pid: number, folder: string): string[] {
  const paths = readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`);
  return paths.filter((path) => {
    try {
      const target = readlinkSync(path);
      return target.startsWith(folder) && target.endsWith(" (deleted)");
    } catch {
      return false; // closed meanwhile
    }
  });
}

/** Turns one bit of the file's byte at `at` around. */
export function flipBit(path: string, at: number): void {
  const fd = openSync(path, "r+");
  const byte = new Uint8Array(1);
  readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ (1 << (at % 8));
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}
