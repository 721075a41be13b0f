import { join } from "node:path";
import { repository, track } from "./processes.ts";

/** The product's binary, built anew if its sources have changed. */
export async function hedgerowBinary(): Promise<string> {
  await succeed([process.execPath, "scripts/build.ts", "--if-stale"]);
  return join(repository, "dist/hedgerow");
}

/** The same with all left out that is imported for Spanner alone. */
export async function binaryWithoutSpanner(): Promise<string> {
  await succeed([process.execPath, "scripts/build.ts", "--without-spanner", "--if-stale"]);
  return join(repository, "dist/hedgerow-without-spanner");
}

/** Compiles one file of the benchmark into a binary of this folder. */
export async function compiled(file: string, folder: string): Promise<string> {
  const outfile = join(folder, "bare");
  await succeed([process.execPath, "build", "--compile", "--minify", file, "--outfile", outfile]);
  return outfile;
}

async function succeed(command: readonly string[]): Promise<void> {
  const child = Bun.spawn([...command], { cwd: repository, stdout: "ignore", stderr: "inherit" });
  track(child);
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed`);
}

/** Arguments of a node on this machine, with everything else at its default. */
export function serveArguments(node: {
  readonly store: string;
  readonly peerPort: number;
  readonly httpPort: number;
}): string[] {
  const { store, peerPort, httpPort } = node;
  return [
    ["serve", "--store", `sqlite:${store}`],
    ["--peer-addr", `127.0.0.1:${peerPort}`, "--http-addr", `127.0.0.1:${httpPort}`],
    ["--log-level", "error"],
  ].flat();
}
