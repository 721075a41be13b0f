import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sign } from "../../src/sidecar/signature.ts";
import { freePorts, until } from "../cli/process-kit.ts";
import { callback, context } from "./kit.ts";

// The examples' own word: what they answer, and whom they refuse. test/cluster has them behind real nodes.

const folder = join(import.meta.dir, "../../examples/sidecar");
const KEY = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OTHER_KEY = `${KEY}-and longer than a block of SHA-256`;

const EXAMPLES = [
  {
    language: "python",
    needs: ["python3"],
    command: (port: number, keys: string) => [
      ...["python3", join(folder, "service.py"), "--port", String(port), "--key-file", keys],
    ],
  },
  {
    language: "shell",
    needs: ["sh", "awk", "sha256sum", "od", Bun.which("socat") === null ? "perl" : "socat"],
    command: (port: number, keys: string) => [join(folder, "service.sh"), String(port), keys],
  },
];

for (const { language, needs, command } of EXAMPLES) {
  const missing = needs.find((name) => Bun.which(name) === null);
  if (missing !== undefined)
    console.log(`skipped: the example in ${language}, which needs ${missing}`);

  describe.skipIf(missing !== undefined)(`the example in ${language}`, () => {
    let child: Bun.Subprocess;
    let temporary = "";
    let url: URL;

    beforeAll(async () => {
      temporary = await mkdtemp(join(tmpdir(), "hedgerow-example-"));
      const keys = join(temporary, "keys");
      await writeFile(keys, `# the old one and the new one\n${OTHER_KEY}\n\n${KEY}`);
      const port = freePorts(1);
      url = new URL(`http://127.0.0.1:${port}/send?x=1`);
      child = Bun.spawn(command(port, keys), {
        env: { ...process.env, TMPDIR: temporary },
        stdout: "ignore",
        stderr: "inherit",
      });
      await until("it listens", () =>
        fetch(url, { method: "POST", body: "" }).then(
          ({ status }) => status === 401,
          () => false,
        ),
      );
    });
    afterAll(async () => {
      child.kill();
      await child.exited;
      // Each connection of the shell's has a process of its own, which removes what it made.
      await until("all is removed", async () => (await readdir(temporary)).length === 1);
      await rm(temporary, { recursive: true });
    });

    const deliver = (data: Uint8Array, keys: readonly string[], id: string) =>
      callback(url, { keys: () => keys }).handle(data, context({ id }));

    test("answers what is signed with one of its keys, byte for byte", async () => {
      for (const [index, keys] of [[KEY], [OTHER_KEY], ["a key of nobody's", KEY]].entries()) {
        const data = crypto.getRandomValues(new Uint8Array(index * 5_000));
        const head = `send by ${language} at 10.0.0.1:8080, attempt 1: `;
        const reply = await deliver(data, keys, `bytes-${index}`);
        expect(Buffer.from(reply).equals(Buffer.concat([Buffer.from(head), data]))).toBe(true);
      }
    });

    test("refuses what is not signed, or with another key", async () => {
      for (const keys of [[], ["a key of nobody's"], [KEY.slice(1)], [KEY.toUpperCase()]]) {
        await expect(deliver(new Uint8Array([1]), keys, "refused")).rejects.toThrow(
          "the signature is not right",
        );
      }
    });

    test("refuses what was changed on its way, and what was signed long ago", async () => {
      const body = Buffer.from("hello");
      const now = Math.floor(Date.now() / 1e3);
      const signedAt = (seconds: number) => {
        const headers: Record<string, string> = {
          "hedgerow-attempt": "1",
          "hedgerow-id": `own-${seconds}`,
          "hedgerow-kind": "send",
          "hedgerow-node": "10.0.0.1:8080",
          "hedgerow-timestamp": String(seconds),
        };
        const target = url.pathname + url.search;
        headers["hedgerow-signature"] = sign({ method: "POST", target, headers, body }, [KEY]);
        return headers;
      };
      const ask = async (headers: Record<string, string>, changed = body, at = url.href) =>
        (await fetch(at, { method: "POST", headers, body: changed })).status;
      const good = signedAt(now);
      expect(await ask(good)).toBe(200);
      expect(await ask(good, Buffer.from("hellp"))).toBe(401);
      expect(await ask(good, body, url.origin + url.pathname)).toBe(401);
      expect(await ask({ ...good, "hedgerow-kind": "broadcast" })).toBe(401);
      expect(await ask({ ...good, "hedgerow-more": "1" })).toBe(401);
      expect(await ask({ ...good, "hedgerow-timestamp": String(now + 1) })).toBe(401);
      expect(await ask(signedAt(now - 400))).toBe(401);
      expect(await ask(signedAt(now + 400))).toBe(401);
    });

    test("serves several at once", async () => {
      const all = Array.from({ length: 24 }, (_, i) =>
        deliver(Buffer.from(`${i}`), [KEY], `many-${i}`),
      );
      const texts = (await Promise.all(all)).map((reply) => Buffer.from(reply).toString());
      expect(texts.every((text, i) => text.endsWith(`: ${i}`))).toBe(true);
    }, 20_000);
  });
}
