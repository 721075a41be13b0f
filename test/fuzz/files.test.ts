import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../src/errors.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { openFileCredentials } from "../../src/rpc/file-credentials.ts";
import { TestCluster } from "../rpc/kit/cluster.ts";
import { runtime } from "../rpc/kit/nodes.ts";
import { mutate, randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";
import { mutateText } from "./kit/texts.ts";

test(
  "TLS files are taken, or refused in a line that names the file",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "hedgerow-fuzz-tls-"));
    const cluster = new TestCluster();
    const { cert, key, ca } = cluster.member("a");
    const good = { cert, key, ca: ca.join("\n") };
    let taken = 0;
    let refused = 0;
    try {
      await asyncRounds(150, async (prng) => {
        const changed = prng.pick(["cert", "key", "ca"] as const);
        const contents: Record<keyof typeof good, string | Uint8Array> = { ...good };
        const kind = prng.int(4);
        if (kind === 0) contents[changed] = randomBytes(prng, 300);
        else if (kind === 1) contents[changed] = mutate(prng, Buffer.from(good[changed]));
        else if (kind === 2) contents[changed] = mutateText(prng, good[changed]);
        else contents[changed] = good[prng.pick(["cert", "key", "ca"] as const)];
        const path = (what: string) => join(folder, what);
        for (const what of ["cert", "key", "ca"] as const)
          writeFileSync(path(what), contents[what]);
        const files = { cert: path("cert"), key: path("key"), ca: path("ca") };
        try {
          const credentials = await openFileCredentials({ files, runtime, logger: silentLogger });
          credentials.close();
          expect(credentials.current()?.ca.length).toBeGreaterThan(0);
          taken++;
        } catch (error) {
          refused++;
          expect(expectTyped(error, () => `a changed ${changed}`)).toBe("invalid_argument");
          expect(messageOf(error)).toMatch(/^--tls-(cert|key|ca) /);
          expect(messageOf(error)).not.toMatch(/\n|PRIVATE/);
        }
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect(Math.min(taken, refused)).toBeGreaterThan(0);
  },
  boundMs(30_000),
);
