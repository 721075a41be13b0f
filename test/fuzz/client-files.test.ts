import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../src/errors.ts";
import { readClientTls } from "../../src/http/client-tls.ts";
import { openTokenFile } from "../../src/http/token-file.ts";
import { silentLogger } from "../../src/observe/logger.ts";
import { readSecretFile } from "../../src/runtime/secret-file.ts";
import { openCallbacks } from "../../src/sidecar/callbacks.ts";
import { TestCluster } from "../rpc/kit/cluster.ts";
import { runtime } from "../rpc/kit/nodes.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { mutate, randomBytes } from "./kit/bytes.ts";
import { expectTyped } from "./kit/errors.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";
import { mutateText, text } from "./kit/texts.ts";

// Files that the operator hands to the listeners of clients and to the callbacks: each is taken, or refused in a line
// that names the flag and tells no secret.

const folder = mkdtempSync(join(tmpdir(), "hedgerow-fuzz-files-"));
afterAll(() => rmSync(folder, { recursive: true }));

const TOKENS = ["0123456789abcdef", "fedcba9876543210fedcba9876543210", "short", "a/b+c.d_e~f-g=="];

/** Something like `good`, or nothing like it. */
function contents(prng: Prng, good: string): string | Uint8Array {
  const kind = prng.int(4);
  if (kind === 0) return randomBytes(prng, 300);
  if (kind === 1) return mutate(prng, Buffer.from(good));
  return kind === 2 ? mutateText(prng, good) : good;
}

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, 0o600);
  return path;
}

/** Gives whether `open` took the file; whoever is refused is told of `flag`, in one line. */
async function taken(flag: string, secrets: readonly string[], open: () => Promise<unknown>) {
  try {
    await open();
    return true;
  } catch (error) {
    expect(expectTyped(error, () => flag)).toBe("invalid_argument");
    expect(messageOf(error)).toStartWith(flag);
    expect(messageOf(error)).not.toContain("\n");
    for (const secret of secrets) expect(messageOf(error)).not.toContain(secret);
    return false;
  }
}

/** Both happened, or nothing is shown. */
function expectBoth(outcomes: readonly boolean[]): void {
  expect(new Set(outcomes)).toEqual(new Set([true, false]));
}

test(
  "a file of tokens is taken, and its tokens count, or is refused without telling any",
  async () => {
    const outcomes: boolean[] = [];
    await asyncRounds(400, async (prng) => {
      const listed = Array.from({ length: 1 + prng.int(3) }, () => prng.pick(TOKENS));
      const good = listed.map((token) => `${prng.pick(["rw", "ro"])} ${token}\n`).join("# x\n\n");
      const path = write("tokens", contents(prng, good));
      const open = async () => {
        const tokens = await openTokenFile(path, { clock: runtime.clock, logger: silentLogger });
        tokens.close();
        const shown = [...TOKENS, text(prng), "", "rw", "ro"];
        for (const token of shown) {
          expect([null, "read", "write"]).toContain(tokens.permissionOf(token));
        }
        for (const token of ["", "rw", "ro", "short"]) {
          expect(tokens.permissionOf(token)).toBeNull();
        }
      };
      outcomes.push(await taken("--client-token-file", TOKENS.slice(0, 2), open));
    });
    expectBoth(outcomes);
  },
  boundMs(10_000),
);

test(
  "a file of callback keys is taken, or is refused without telling any",
  async () => {
    const outcomes: boolean[] = [];
    const url = new URL("http://127.0.0.1:1/");
    await asyncRounds(300, async (prng) => {
      const keys = Array.from({ length: 1 + prng.int(5) }, () => prng.pick(TOKENS));
      const keyFile = write("keys", contents(prng, `# keys\n${keys.join("\n")}\n`));
      const open = async () => {
        const { close } = await openCallbacks({
          onSend: url,
          onBroadcast: null,
          keyFile,
          about: async () => ({ label: "", node: "", token: "" }),
          runtime,
          logger: silentLogger,
        });
        close();
      };
      outcomes.push(await taken("--callback-key-file", TOKENS.slice(0, 2), open));
    });
    expectBoth(outcomes);
  },
  boundMs(10_000),
);

test(
  "TLS files for clients are taken, or refused",
  async () => {
    const [own, other] = [new TestCluster(), new TestCluster()];
    const { cert, key } = own.member("a");
    const chain = `${cert}${own.authority.cert}`;
    const outcomes: boolean[] = [];
    await asyncRounds(150, async (prng) => {
      const files = {
        cert: write("tls.crt", contents(prng, prng.pick([cert, chain, key]))),
        key: write("tls.key", contents(prng, prng.pick([key, key, other.member("b").key]))),
      };
      const open = () => readClientTls(files, runtime.clock);
      outcomes.push(await taken("--client-tls-", ["PRIVATE"], open));
    });
    expectBoth(outcomes);
  },
  boundMs(20_000),
);

test("what is no file that can be read is refused in one line", async () => {
  const directory = join(folder, "directory");
  mkdirSync(directory);
  const paths = [directory, join(folder, "absent"), "", "a\0b", `/${"x".repeat(5_000)}`];
  for (const path of paths) {
    expect(await taken("--flag ", [], () => readSecretFile("--flag", path))).toBe(false);
  }
});
