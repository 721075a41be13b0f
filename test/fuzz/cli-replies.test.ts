import { expect, test } from "bun:test";
import type { DescMethod } from "@bufbuild/protobuf";
import { HedgerowService } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { END_OF_STREAM_FLAG, envelope } from "../../src/rpc/envelopes.ts";
import { cli } from "../cli/cli-kit.ts";
import type { Prng } from "../simulation/world/prng.ts";
import { join, mutate } from "./kit/bytes.ts";
import { hostileBytes } from "./kit/messages.ts";
import { asyncRounds, boundMs } from "./kit/rounds.ts";

// What the command makes of a server's answers, whoever that is.

const COMMANDS: readonly (readonly string[])[] = [
  ["put", "key", "value"],
  ["get", "key", "--limit", "-1"],
  ["send", "hello"],
  ["broadcast", "hello"],
  ["members"],
  ["leader"],
  ["status"],
  ["watch", "key"],
  ["lock", "name"],
  ["semaphore", "acquire", "name", "--limit", "1"],
];
const RUN = ["--", "true"];

function answer(prng: Prng, { output, methodKind }: DescMethod): Response {
  const unary = methodKind === "unary";
  const type = `application/${unary ? "" : "connect+"}proto`;
  const headers = { "content-type": prng.chance(0.95) ? type : "text/html" };
  const status = prng.chance(0.9) ? 200 : prng.pick([302, 404, 500, 503]);
  if (unary) return new Response(hostileBytes(prng, output), { status, headers });
  const end = envelope(Buffer.from(prng.pick(["{}", '{"error":{"code":"aborted"}}', "{", "7"])));
  end[0] = END_OF_STREAM_FLAG;
  const stream = join(
    envelope(hostileBytes(prng, output)),
    envelope(hostileBytes(prng, output)),
    end,
  );
  return new Response(prng.chance(0.5) ? stream : mutate(prng, stream), { status, headers });
}

/** Those of ASCII, beside line ends and tabs. */
function hasControl(text: string): boolean {
  return [...text].some((character) => character < " " && character !== "\n" && character !== "\t");
}

test(
  "any answer is printed, or is one line on stderr",
  async () => {
    const codes = new Set<number>();
    let answers = (): Response => new Response();
    let asked: DescMethod | undefined;
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        const name = new URL(request.url).pathname.split("/").at(-1);
        asked = HedgerowService.methods.find((method) => method.name === name);
        return answers();
      },
    });
    await asyncRounds(300, async (prng) => {
      answers = () =>
        asked === undefined ? new Response("", { status: 404 }) : answer(prng, asked);
      const command = prng.pick(COMMANDS);
      const runs = command[0] === "lock" || command[0] === "semaphore";
      const json = !runs && prng.chance(0.5) ? ["--json"] : [];
      const argv = [...command, "--server", `http://127.0.0.1:${server.port}`, ...json];
      const { code, stdout, stderr } = await cli(runs ? [...argv, ...RUN] : argv);
      codes.add(code);
      const what = `${argv.join(" ")}: exit code ${code}: ${stderr.slice(0, 1_000)}`;
      const lines = stderr.split("\n").length - 1;
      const told = command[0] === "broadcast"; // of members that failed, on stdout
      if (code !== 0 ? lines !== 1 && !told : lines > 1) throw new Error(what);
      if (/ {4}at |defect|Invalid|undefined|TypeError|RangeError/.test(stderr))
        throw new Error(what);
      // Nothing that a server says drives the terminal; `send` gives its bytes as they are.
      if (command[0] !== "send" && hasControl(stdout)) {
        throw new Error(`${argv.join(" ")}: ${JSON.stringify(stdout)}`);
      }
      if (json.length > 0 && code === 0) {
        for (const line of stdout.trimEnd().split(/\n(?=[{[])/)) if (line !== "") JSON.parse(line);
      }
    });
    expect(codes.has(0) && codes.has(1)).toBe(true);
  },
  boundMs(60_000),
);
