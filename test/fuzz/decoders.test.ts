import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { sourcesOf } from "../house/sources.ts";
import { FILES } from "./schemas.ts";

// Every decoder there is, and where it is given what nobody should send. Whoever writes a new one finds this test
// failing until it is listed.

/** What reads text or bytes into something else. Numbers and names are read by those whom this finds, or theirs. */
const DECODES =
  /JSON\.parse|fromBinary|fromJson|BinaryReader|DataView|TextDecoder|X509Certificate|createPrivateKey|Date\.parse|parseInt|safeParse|z\.transform|new URL\(|endStreamFromJson|errorFromJsonBytes|\.exec\(|\.match\(|readFile/;

const TEXT_OF_MESSAGES = "bytes of a message to text, which cannot fail";

/** By file of src: the test here that feeds it, or why what it reads is nobody else's. */
const READ_BY: Readonly<Record<string, string>> = {
  "cli/client.ts": "command-line.test.ts",
  "cli/dev/child.ts": "the last line that a node of `dev` wrote, shown as it is",
  "cli/flag.ts": "flags.test.ts",
  "cli/k8s/options.ts": "flags.test.ts",
  "cli/operand.ts": "command-line.test.ts",
  "cli/output.ts": "cli-replies.test.ts",
  "cli/values.ts": "flags.test.ts",
  "http/access.ts": "client-access.test.ts",
  "http/app.ts": "client-api.test.ts",
  "http/body.ts": "client-api.test.ts",
  "http/client-tls.ts": "client-files.test.ts",
  "http/demo-handlers.ts": TEXT_OF_MESSAGES,
  "http/demo.ts": TEXT_OF_MESSAGES,
  "http/grpc/service.ts": "alone/grpc-wire.ts",
  "http/grpc/streams.ts": "alone/grpc-wire.ts",
  "http/guard.ts": "client-api.test.ts",
  "http/listener.ts": "alone/sockets.ts",
  "http/refuse.ts": "client-access.test.ts",
  "http/tokens.ts": "client-files.test.ts",
  "main.ts": "the kernel's word on this process",
  "node/address.ts": "flags.test.ts",
  "node/duration.ts": "flags.test.ts",
  "node/size.ts": "flags.test.ts",
  "node/option-kinds.ts": "flags.test.ts",
  "node/options.ts": "flags.test.ts",
  "rpc/authority.ts": "rows-node.test.ts",
  "rpc/batch-wire.ts": "peer-wire.test.ts",
  "rpc/certificates.ts": "an authority that authority.ts has judged",
  "rpc/codec.ts": "messages.test.ts",
  "rpc/envelopes.ts": "peer-wire.test.ts",
  "rpc/errors.ts": "peer-wire.test.ts",
  "rpc/file-credentials.ts": "files.test.ts",
  "rpc/handlers.ts": "client-api.test.ts",
  "rpc/long-timeouts.ts": "alone/grpc-wire.ts",
  "rpc/server.ts": "peer-wire.test.ts",
  "rpc/stream-routes.ts": "client-api.test.ts",
  "rpc/streaming.ts": "peer-wire.test.ts",
  "rpc/streams/frame-reader.ts": "stream-frames.test.ts",
  "rpc/streams/http1-answer.ts": "stream-answers.test.ts",
  "runtime/secret-file.ts": "client-files.test.ts",
  "runtime/system.ts": "the kernel's name of this boot",
  "sidecar/callback.ts": "callback-replies.test.ts",
  "store/open.ts": "flags.test.ts",
  "store/semaphore-rows.ts": "rows-sqlite.test.ts",
  "store/spanner/client.ts": "SPANNER_EMULATOR_HOST, of whoever starts the process",
  "store/spanner/compare.ts": "the types of Spanner's own information schema",
  "store/spanner/path.ts": "flags.test.ts",
  "store/spanner/values.ts": "rows-spanner.test.ts",
  "store/sqlite/mount.ts": "rows-node.test.ts",
};

test("every file of src that decodes is listed with the test that feeds it", async () => {
  const sources = await sourcesOf("src");
  const found = sources.filter(({ text }) => DECODES.test(text));
  const unlisted = found
    .map(({ path }) => path.slice("src/".length))
    .filter((path) => READ_BY[path] === undefined);
  expect(unlisted).toEqual([]);
  for (const [path, by] of Object.entries(READ_BY)) {
    expect(sources.map((source) => source.path)).toContain(`src/${path}`);
    if (by.endsWith(".ts")) expect(existsSync(join(import.meta.dir, by))).toBe(true);
  }
});

test("every generated file is among those whose messages are fed", async () => {
  const generated = new Bun.Glob("**/*_pb.ts").scan({
    cwd: join(import.meta.dir, "../../src/gen"),
  });
  const expected = (await Array.fromAsync(generated)).map((path) => path.replace("_pb.ts", ""));
  expect(FILES.map(({ name }) => name).sort()).toEqual(expected.sort());
});
