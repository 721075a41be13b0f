import { expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cli } from "./cli-kit.ts";
import { inFolder, Process, until } from "./process-kit.ts";

const RW = "rw-0123456789abcdef";
const RO = "ro-0123456789abcdef";

interface Served {
  readonly process: Process;
  readonly folder: string;
  /** Of its http listener. */
  readonly address: string;
}

/** A node with these flags, and tokens in files, for the time of `story`. */
function serving(
  flags: (folder: string) => readonly string[],
  story: (served: Served) => Promise<void>,
): Promise<void> {
  return inFolder(async (folder) => {
    await secret(join(folder, "tokens"), `rw ${RW}\nro ${RO}\n`);
    await secret(join(folder, "rw"), `${RW}\n`);
    await secret(join(folder, "ro"), `# for the dashboard\nro ${RO}\n`);
    await secret(join(folder, "wrong"), "wrong-0123456789abcdef");
    const listeners = ["--peer-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"];
    const process = new Process(["serve", ...listeners, "--lease", "2s", ...flags(folder)], folder);
    try {
      const address = await until("it serves", () => {
        if (process.child.exitCode !== null) throw new Error(`it ended: ${process.stderr}`);
        return /serving .*?https?:\/\/(\S+?:\d+)/.exec(process.stderr)?.[1] ?? "";
      });
      await story({ process, folder, address });
    } finally {
      process.child.kill("SIGKILL");
      await process.ended();
    }
  });
}

async function secret(path: string, text: string): Promise<void> {
  await writeFile(path, text);
  await chmod(path, 0o600);
}

test(
  "the command line shows a token: rw may write, ro may read, others are told the mend",
  () =>
    serving(
      (folder) => ["--client-token-file", join(folder, "tokens")],
      async ({ process, folder, address }) => {
        const server = ["--server", `http://${address}`];
        const run = (token: string | null, ...argv: string[]) => {
          const shown = token === null ? [] : ["--token-file", join(folder, token)];
          return cli([...argv, ...server, ...shown]);
        };
        await until("it leads", async () => (await run("rw", "leader")).code === 0);
        expect(await run("rw", "put", "key", "value")).toMatchObject({ code: 0 });
        expect((await run("tokens", "get", "key")).stdout).toContain("value");
        expect((await run("ro", "get", "key")).stdout).toContain("value");
        expect(await run("ro", "put", "key", "other")).toEqual({
          code: 1,
          stdout: "",
          stderr:
            "hedgerow put: /hedgerow.v1.HedgerowService/Put is not for read-only tokens: use one that its node lists as rw\n",
        });
        for (const argv of [
          ["lock", "name", "--", "true"],
          ["broadcast", "x"],
          ["send", "x"],
        ]) {
          const [word = "", ...rest] = argv;
          const denied = await cli([word, ...server, "--token-file", join(folder, "ro"), ...rest]);
          expect({ argv, code: denied.code }).toEqual({ argv, code: 1 });
          expect(denied.stderr).toContain("is not for read-only tokens");
        }
        for (const token of [null, "wrong"]) {
          const refused = await run(token, "put", "key", "other");
          expect(refused.code).toBe(1);
          expect(refused.stderr).toMatch(/^hedgerow put: [^\n]+ --token-file\n$/);
        }
        const environment = { HEDGEROW_TOKEN_FILE: join(folder, "rw") };
        const held = await cli(["lock", "name", ...server, "--", "true"], environment);
        expect(held).toEqual({ code: 0, stdout: "", stderr: "" });
        const line = new TextEncoder().encode("line\n");
        const spilled = await cli(["spill", "write", "records", ...server], environment, line);
        expect(spilled).toMatchObject({ code: 0, stderr: "" });
        const read = await run("ro", "spill", "read", "records");
        expect(read).toEqual({ code: 0, stdout: "line\n", stderr: "" });
        expect(await run("ro", "spill", "close", "records")).toMatchObject({ code: 1 });
        expect(await run(null, "spill", "read", "records")).toMatchObject({ code: 1 });
        expect(await run("rw", "spill", "close", "records")).toMatchObject({ code: 0 });
        expect((await run("rw", "get", "key", "--limit", "-1")).stdout).not.toContain("other");
        expect(process.stderr).not.toContain("0123456789abcdef");
        expect(process.stderr).not.toContain("may read and write");

        // A token that is taken off the list counts no longer, without a restart.
        await secret(join(folder, "tokens"), `ro ${RO}\n`);
        await until("it counts no longer", async () => (await run("rw", "get", "key")).code === 1);
        expect((await run("ro", "get", "key")).code).toBe(0);
      },
    ),
  90_000,
);

test(
  "doctor asks with the node's own token, and says so where it has none",
  () =>
    serving(
      (folder) => ["--client-token-file", join(folder, "tokens")],
      async ({ folder, address }) => {
        const flags = ["--http-addr", address, "--store", `sqlite:${join(folder, "hedgerow.db")}`];
        const without = await cli(["doctor", ...flags]);
        expect(without).toMatchObject({ code: 1 });
        expect(without.stderr).toContain("asks for a token: give its --client-token-file");
        const tokens = ["--client-token-file", join(folder, "tokens")];
        expect((await cli(["doctor", ...flags, ...tokens])).stdout).toContain(
          "is served by the node",
        );
      },
    ),
  90_000,
);

test(
  "a listener that others reach warns, once, where nobody is asked; further names are let in",
  () =>
    serving(
      () => [
        "--http-addr",
        ":0",
        "--grpc-addr",
        ":0",
        "--http-hosts",
        "svc.example.com,b.example.com",
      ],
      async ({ process, address }) => {
        const warned = process.stderr
          .split("\n")
          .filter((line) => line.includes("may read and write"));
        expect(warned.length).toBe(1);
        expect(warned[0]).toContain("whoever reaches --http-addr :0 or --grpc-addr :0 may");
        expect(warned[0]).toContain("give --client-token-file, or listen on 127.0.0.1");
        const at = `http://127.0.0.1:${address.split(":").at(-1)}/livez`;
        const asked = async (host: string) => (await fetch(at, { headers: { host } })).status;
        expect(await asked("svc.example.com:80")).toBe(200);
        expect(await asked("SVC.example.com")).toBe(200);
        expect(await asked("other.example.com")).toBe(421);
      },
    ),
  90_000,
);

const openssl = Bun.which("openssl");
if (openssl === null) console.log("skipped: --ca, which needs openssl for a certificate");
test.skipIf(openssl === null)(
  "serve and the command line speak TLS",
  () =>
    serving(
      (folder) => {
        const [cert, key] = [join(folder, "crt"), join(folder, "key")];
        const made = Bun.spawnSync([
          ...[
            openssl ?? "",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
          ],
          ...["-nodes", "-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=x"],
          ...["-addext", "subjectAltName=IP:127.0.0.1"],
        ]);
        expect(made.exitCode).toBe(0);
        const tokens = ["--client-token-file", join(folder, "tokens")];
        return ["--client-tls-cert", cert, "--client-tls-key", key, ...tokens];
      },
      async ({ folder, address }) => {
        const server = ["--server", `https://${address}`, "--token-file", join(folder, "rw")];
        const ca = ["--ca", join(folder, "crt")];
        await until("it leads", async () => (await cli(["leader", ...server, ...ca])).code === 0);
        expect((await cli(["put", "key", "value", ...server, ...ca])).code).toBe(0);
        const distrusted = await cli(["get", "key", ...server]);
        expect(distrusted.code).toBe(1);
        expect(distrusted.stderr).toContain("--ca");
        const plain = await cli(["get", "key", "--server", `http://${address}`]);
        expect(plain.code).toBe(1);
        const missing = await cli(["get", "key", ...server, "--ca", join(folder, "none")]);
        expect(missing.stderr).toContain("--ca ");
        expect(missing.code).toBe(2);
      },
    ),
  90_000,
);

test.each([
  [["--client-tls-cert", "x"], "--client-tls-cert and --client-tls-key go together: give both"],
  [["--spill-dir", "package.json"], "--spill-dir package.json: ENOTDIR: not a directory"],
  [["--client-token-file", "missing"], "--client-token-file missing cannot be read: ENOENT"],
  [["--http-hosts", "http://x"], "--http-hosts http://x: give host names in lower case"],
])("%p is refused before anything starts", async (flags, message) => {
  const listeners = ["--peer-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"];
  const { code, stderr } = await cli([
    "serve",
    ...listeners,
    ...flags,
    "--store",
    "sqlite:nowhere",
  ]);
  expect(code).toBe(2);
  expect(stderr).toStartWith(`hedgerow serve: ${message}`);
});

test.each([
  [
    ["--callback-key-file", "x"],
    "--callback-key-file x signs nothing: give --on-send or --on-broadcast",
  ],
  [
    ["--on-send", "http://127.0.0.1:1/", "--callback-key-file", "missing"],
    "--callback-key-file missing cannot be read: ENOENT",
  ],
  [["--on-send", "127.0.0.1:9000"], "--on-send 127.0.0.1:9000: give a URL such as http://"],
  [["--on-broadcast", "ftp://a/"], "--on-broadcast ftp://a/: give a URL such as http://"],
  [["--on-send", "http://user:word@a/"], "--on-send http://user:word@a/: give a URL"],
  [["--max-message", "100"], "--max-message 100: give a size from 1KiB to 64MiB"],
  [["--max-calls", "0"], "--max-calls 0: give a whole number from 1 to 1000000"],
  [["--max-streams", "many"], "--max-streams many: give a whole number from 1 to 65536"],
])("%p is refused with the mend", async (flags, message) => {
  const listeners = ["--peer-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"];
  const { code, stderr } = await cli([
    "serve",
    ...listeners,
    ...flags,
    "--store",
    "sqlite:nowhere",
  ]);
  expect(code).toBe(2);
  expect(stderr).toStartWith(`hedgerow serve: ${message}`);
});

test("a token file that holds none is named", () =>
  inFolder(async (folder) => {
    const path = join(folder, "token");
    for (const text of ["", "# nothing\n", "two words\n", "with-an-ö\n"]) {
      await secret(path, text);
      const { code, stderr } = await cli(["status", "--token-file", path]);
      expect({ text, code, stderr }).toEqual({
        text,
        code: 2,
        stderr: `hedgerow status: --token-file ${path} holds no token: give one\n`,
      });
    }
    const environment = { HEDGEROW_TOKEN_FILE: join(folder, "missing") };
    const { code, stderr } = await cli(["status"], environment);
    expect(code).toBe(2);
    expect(stderr).toStartWith("hedgerow status: HEDGEROW_TOKEN_FILE=");
  }));
