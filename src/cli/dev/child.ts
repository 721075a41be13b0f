import { sleep } from "../../runtime/operation.ts";
import type { Clock } from "../../runtime/runtime.ts";
import type { Environment } from "../flag.ts";
import type { PlannedNode } from "./plan.ts";

/** A node that asked to stop gets this long before it is killed. */
const STOP_GRACE_MS = 8_000;
/** Bytes of a line of stderr that are kept. */
const MAX_LINE_BYTES = 2_000;

export interface Exit {
  readonly code: number | null;
  /** Name of the signal that killed it. */
  readonly signal: string | null;
}

/** The process of one node. */
export class ChildNode {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** null while it runs. */
  exit: Exit | null = null;
  /** Last line that it wrote to stderr. */
  lastLine = "";
  readonly #process: Bun.Subprocess<"pipe", "ignore", "pipe">;

  constructor(
    readonly node: PlannedNode,
    argv: readonly string[],
    environment: Environment,
    private readonly clock: Clock,
  ) {
    this.#process = Bun.spawn([...argv], {
      // Held open, never written to: it closes when this process dies, however it dies.
      stdin: "pipe",
      stdout: "ignore",
      stderr: "pipe",
      env: { ...environment },
      // Out of the terminal's reach: Ctrl-C comes to us alone, and we stop the nodes in order.
      detached: true,
    });
    this.pid = this.#process.pid;
    const drained = this.#drain();
    this.exited = this.#process.exited.then(async () => {
      await drained;
      const { exitCode, signalCode } = this.#process;
      const exit = { code: exitCode, signal: signalCode === null ? null : String(signalCode) };
      this.exit = exit;
      return exit;
    });
  }

  /** Asks it to stop, and kills it if it does not in time. */
  async stop(): Promise<void> {
    const inTime = new AbortController();
    this.#process.kill("SIGTERM");
    const kill = sleep(this.clock, STOP_GRACE_MS, inTime.signal).then(
      () => this.kill(),
      () => {}, // it stopped in time
    );
    await this.exited;
    inTime.abort();
    await kill;
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /** Reads stderr to its end, so that the node never waits for us, and keeps the last line. */
  async #drain(): Promise<void> {
    const decoder = new TextDecoder();
    let rest = "";
    for await (const chunk of this.#process.stderr) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = (lines.pop() ?? "").slice(0, MAX_LINE_BYTES);
      this.lastLine =
        lines.findLast((line) => line !== "")?.slice(0, MAX_LINE_BYTES) ?? this.lastLine;
    }
    if (rest !== "") this.lastLine = rest;
  }
}
