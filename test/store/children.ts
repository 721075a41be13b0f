import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

/** A process of test/store/children/, which the test ends. */
export interface Child extends AsyncDisposable {
  /** The next line that it prints; throws with its stderr once there is none. */
  line(): Promise<string>;
  kill(): Promise<void>;
  /** Resolves once it has ended by itself with code 0; throws with its stderr otherwise. */
  done(): Promise<void>;
}

export function startChild(script: string, ...args: string[]): Child {
  return startCommand([process.execPath, scriptPath(script), ...args]);
}

export function scriptPath(script: string): string {
  return join(import.meta.dir, "children", `${script}.ts`);
}

export function startCommand(command: string[]): Child {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const lines = createInterface({ input: Readable.fromWeb(child.stdout as never) })[
    Symbol.asyncIterator
  ]();
  const stderr = new Response(child.stderr).text();
  const kill = async () => {
    child.kill("SIGKILL");
    await child.exited;
  };
  return {
    async line() {
      const next = await lines.next();
      if (!next.done) return next.value;
      throw new Error(`${command.join(" ")} ended: ${await stderr}`);
    },
    kill,
    async done() {
      if ((await child.exited) === 0) return;
      throw new Error(`${command.join(" ")} failed: ${await stderr}`);
    },
    [Symbol.asyncDispose]: kill,
  };
}
