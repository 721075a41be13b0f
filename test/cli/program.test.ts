import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { version } from "../../package.json";
import { runProgram } from "../../src/cli/program.ts";
import { cli, cliKit } from "./cli-kit.ts";
import { PROGRAM } from "./process-kit.ts";

const COMMANDS = [
  "serve",
  "dev",
  "schema",
  "schema print",
  "schema apply",
  "put",
  "watch",
  "get",
  "send",
  "broadcast",
  "lock",
  "semaphore",
  "semaphore acquire",
  "spill",
  "spill write",
  "spill read",
  "spill close",
  "members",
  "leader",
  "status",
  "doctor",
  "k8s",
  "k8s manifest",
];

test("--version and --help end with 0 and use stdout", async () => {
  for (const flag of ["--version", "-V"]) {
    expect(await cli([flag])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
  }
  for (const argv of [
    ["--help"],
    ["-h"],
    ["help"],
    ["help", "serve"],
    ["serve", "--help"],
    ["help", "schema", "print"],
  ]) {
    const { code, stdout, stderr } = await cli(argv);
    expect({ argv, code, stderr }).toEqual({ argv, code: 0, stderr: "" });
    expect(stdout).toStartWith("Usage: hedgerow ");
  }
});

test.skipIf(!existsSync("/dev/full"))("output that a full disk lost is a failure", async () => {
  const stdout = Bun.file("/dev/full");
  const child = Bun.spawn([...PROGRAM, "--help"], { stdout, stderr: "pipe" });
  expect(await new Response(child.stderr).text()).toStartWith("hedgerow: stdout: ENOSPC");
  expect(await child.exited).toBe(1);
});

test.each([
  ["a reader that has gone, as head does, is no failure", null, 0],
  ["a signal in the midst of the output is one", "SIGINT", 1],
] as const)("%s", async (_, signal, code) => {
  const { context, written, stop } = cliKit(["spill", "read", "records"]);
  stop.abort();
  expect(await runProgram({ ...context, stoppedBy: () => signal })).toBe(code);
  expect(written.stderr === "").toBe(code === 0);
});

test("the help of the program names every command", async () => {
  expect((await cli(["--help"])).stdout).toMatchSnapshot();
});

test.each(COMMANDS)("the help of %s", async (name) => {
  const { code, stdout } = await cli([...name.split(" "), "--help"]);
  expect(code).toBe(0);
  expect(stdout).toMatchSnapshot();
});

describe("bad usage is one line on stderr and code 2", () => {
  test.each([
    [["serv"], "hedgerow: unknown command 'serv' (Did you mean serve?)"],
    [["frobnicate"], `hedgerow: unknown command 'frobnicate': see "hedgerow --help"`],
    [["--frobnicate"], `hedgerow: unknown option '--frobnicate': see "hedgerow --help"`],
    [[], `hedgerow: no command given: see "hedgerow --help"`],
    [
      ["serve", "--leese", "5s"],
      "hedgerow serve: unknown option '--leese' (Did you mean --lease?)",
    ],
    [["schema"], `hedgerow schema: no command given: see "hedgerow schema --help"`],
    [["schema", "prnt"], "hedgerow schema: unknown command 'prnt' (Did you mean print?)"],
    [["schema", "zzz"], `hedgerow schema: unknown command 'zzz': see "hedgerow schema --help"`],
    [
      ["schema", "print", "x"],
      `hedgerow schema print: too many arguments for 'print'. Expected 0 arguments but got 1: x: see "hedgerow schema print --help"`,
    ],
    [["serve", "--zzz"], `hedgerow serve: unknown option '--zzz': see "hedgerow serve --help"`],
    [["serve", "--lease", "1s"], "hedgerow serve: --lease 1s: must be at least 2s"],
    [
      ["serve", "--lease"],
      `hedgerow serve: option '--lease <DURATION>' argument missing: see "hedgerow serve --help"`,
    ],
    [["put", "key"], `hedgerow put: missing required argument 'VALUE': see "hedgerow put --help"`],
    [
      ["put", "k", "v", "w"],
      `hedgerow put: too many arguments for 'put'. Expected 2 arguments but got 3: k, v, w: see "hedgerow put --help"`,
    ],
    [
      ["get", "k", "--limit", "x"],
      "hedgerow get: --limit x: give a whole number from -2 to 1000000",
    ],
    [["get", "k", "--server", "ftp://x"], /^hedgerow get: --server ftp:\/\/x: give a URL such as /],
    [
      ["dev", "--store", "mysql:x"],
      "hedgerow dev: --store mysql:x: give sqlite:PATH, spanner:projects/P/instances/I/databases/D or none",
    ],
    [
      ["serve", "--store", "spanner:projects/p/instances/I/databases/dd"],
      /^hedgerow serve: --store spanner:[^ ]*: instance "I": use 2 to 64 lower-case letters, /,
    ],
    [["dev", "--nodes", "0"], "hedgerow dev: --nodes 0: give a whole number from 1 to 20"],
    [
      ["dev", "--http-port", "65535"],
      /^hedgerow dev: --http-port 65535: 3 nodes need ports up to 65537/,
    ],
    [
      ["dev", "--peer-port", "9091"],
      /^hedgerow dev: --http-port 9090 and --peer-port 9091: 3 nodes need/,
    ],
    [
      ["dev", "--grpc-port", "8081"],
      "hedgerow dev: --peer-port 8080 and --grpc-port 8081: 3 nodes need them at least 3 apart",
    ],
    [
      ["dev", "--grpc-port", "65534"],
      "hedgerow dev: --grpc-port 65534: 3 nodes need ports up to 65536, and 65535 is the last",
    ],
    [
      ["serve", "--grpc-addr", ":9090"],
      "hedgerow serve: --http-addr 127.0.0.1:9090 and --grpc-addr :9090 are one address: give each a port of its own",
    ],
    [
      ["serve", "--peer-addr", "127.0.0.1:8081", "--grpc-addr", ":8081"],
      "hedgerow serve: --peer-addr 127.0.0.1:8081 and --grpc-addr :8081 are one address: give each a port of its own",
    ],
  ])("%p", async (argv, expected) => {
    const { code, stdout, stderr } = await cli(argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toEndWith("\n");
    expect(stderr.trimEnd()).not.toContain("\n");
    if (typeof expected === "string") expect(stderr).toBe(`${expected}\n`);
    else expect(stderr).toMatch(expected);
  });

  test("a bad variable is named", async () => {
    const { code, stderr } = await cli(["serve"], { HEDGEROW_TLS: "maybe" });
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: "hedgerow serve: HEDGEROW_TLS=maybe: give auto, files or none\n",
    });
  });
});
