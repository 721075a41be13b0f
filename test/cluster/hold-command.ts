// The built binary's commands that run another one while they hold something. Imports nothing of src.
import { BINARY, type Node, until } from "./processes.ts";

/** One `hedgerow lock NAME -- COMMAND` or `semaphore acquire`, its output collected as it comes. */
export class HoldCommand {
  stdout = "";
  stderr = "";
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #read: Promise<unknown>;

  /** `words` name the command and what is held, with its flags; `script` is run by a shell. */
  constructor(node: Pick<Node, "url">, words: readonly string[], script: string) {
    this.#child = Bun.spawn([BINARY, ...words, "--server", node.url, "--", "sh", "-c", script], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    this.#read = Promise.all([
      collect(this.#child.stdout, (text) => (this.stdout += text)),
      collect(this.#child.stderr, (text) => (this.stderr += text)),
    ]);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until the script has printed a line that begins so; gives the rest of it. */
  async printed(beginning: string, withinMs = 10_000): Promise<string> {
    const line = () => this.stdout.split("\n").find((each) => each.startsWith(beginning));
    await until(`the command prints ${beginning}`, withinMs, () => {
      if (line() === undefined && this.#child.exitCode !== null) {
        throw new Error(`it ended with ${this.#child.exitCode}: ${this.stdout}${this.stderr}`);
      }
      return line() !== undefined;
    });
    return line()?.slice(beginning.length) ?? "";
  }

  /** The exit code, once all output is there; null after a signal that killed it. */
  async ended(): Promise<number | null> {
    await Promise.all([this.#child.exited, this.#read]);
    return this.#child.exitCode;
  }
}

/** Until so many callers of the nodes wait, and stand in the line: nodes count before they say so to the leader. */
export async function inLine(
  nodes: readonly Pick<Node, "url">[],
  kind: "lock" | "permit",
  count: number,
): Promise<void> {
  const line = new RegExp(`^hedgerow_claims_awaited\\{kind="${kind}"\\} (\\d+)$`, "m");
  await until(`${count} wait`, 10_000, async () => {
    const texts = nodes.map(async ({ url }) => (await fetch(`${url}/metrics`)).text());
    const counts = (await Promise.all(texts)).map((text) => Number(line.exec(text)?.[1]));
    return counts.reduce((sum, each) => sum + each, 0) >= count;
  });
  await Bun.sleep(200);
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  take: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}

/** Whether a process of this machine runs still. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
