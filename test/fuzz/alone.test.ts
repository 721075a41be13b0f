import { expect, test } from "bun:test";
import { join } from "node:path";
import { boundMs } from "./kit/rounds.ts";

// Those that look at the memory of their process, each in one of its own: what other tests have left decides when
// memory is collected. `bun test ./test/fuzz/alone/sockets.ts` runs one by hand.

test.each(["sockets", "stream-sockets", "grpc", "grpc-wire"])(
  "%s",
  async (name) => {
    const { exited, stdout, stderr } = Bun.spawn(
      [process.execPath, "test", "--timeout", "60000", join(import.meta.dir, `alone/${name}.ts`)],
      { stdout: "pipe", stderr: "pipe" },
    );
    const said = await Promise.all([new Response(stdout).text(), new Response(stderr).text()]);
    expect(await exited, said.join("\n")).toBe(0);
    expect(said[1]).toMatch(/^ [1-9]\d* pass$/m);
  },
  boundMs(60_000),
);
