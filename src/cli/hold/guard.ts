/**
 * Waits for the end of its stdin, which comes with the end of this process, however it ends. The command gets
 * ten seconds from SIGTERM to SIGKILL, as from a process that lives.
 */
const GUARD = `read -r _
kill -TERM "$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 1; kill -0 "$1" 2>/dev/null || exit; done
kill -KILL "$1" 2>/dev/null`;

/**
 * Ends `target` (a process, or, negative, a process group) if this process is killed: its claim is free then, and
 * nobody else would tell it. The result ends the watch. Does nothing on machines without a shell.
 */
export function guardAgainstOurEnd(target: number): () => void {
  if (Bun.which("sh") === null) return () => {};
  const guard = Bun.spawn(["sh", "-c", GUARD, "hedgerow-guard", String(target)], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
    // Out of the reach of signals to the terminal's group, which may be what kills this process.
    detached: true,
  });
  guard.unref();
  return () => guard.kill("SIGKILL");
}
