import { describe, expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { type Environment, environmentName, flagName, resolveFlags } from "../../src/cli/flag.ts";
import { CLIENT_FLAGS, SERVE_FLAGS } from "../../src/cli/flags.ts";

const serve = (given: Environment = {}, environment: Environment = {}) =>
  resolveFlags(SERVE_FLAGS, given, environment);

function refusal(given: Environment, environment: Environment = {}): string {
  try {
    serve(given, environment);
  } catch (error) {
    if (HedgerowError.is(error, "invalid_argument")) return error.message;
    throw error;
  }
  throw new Error(`nothing was refused in ${JSON.stringify({ given, environment })}`);
}

test("names come from the key", () => {
  expect(flagName("peerAddr")).toBe("--peer-addr");
  expect(environmentName("peerAddr")).toBe("HEDGEROW_PEER_ADDR");
});

test("the defaults are those of the contract", () => {
  expect(serve()).toEqual({
    peerAddr: ":8080",
    httpAddr: "127.0.0.1:9090",
    grpcAddr: null,
    corsOrigin: [],
    httpHosts: [],
    clientTokenFile: null,
    clientTlsCert: null,
    clientTlsKey: null,
    store: "sqlite:./hedgerow.db",
    lockTable: "locktable",
    lockName: "hedgerow",
    logTable: "logtable",
    keepVersions: null,
    keepAge: null,
    spillDir: "",
    spillMemory: null,
    spillDisk: 1024 ** 3,
    spillCompression: "none",
    maxMessage: 4_194_304,
    maxCalls: 10_000,
    maxStreams: 4_096,
    lease: 30_000,
    syncInterval: 30_000,
    join: [],
    name: null,
    label: null,
    tls: "auto",
    tlsCert: null,
    tlsKey: null,
    tlsCa: null,
    onSend: null,
    onBroadcast: null,
    callbackKeyFile: null,
    logLevel: "info",
    logFormat: "pretty",
  });
});

describe("a flag beats the environment beats the default", () => {
  test("in this order", () => {
    const environment = { HEDGEROW_LEASE: "10s" };
    expect(serve().lease).toBe(30_000);
    expect(serve({}, environment).lease).toBe(10_000);
    expect(serve({ lease: "5s" }, environment).lease).toBe(5_000);
  });

  test("a variable that is set counts, also when it is empty", () => {
    expect(serve({}, { HEDGEROW_LOG_TABLE: "" }).logTable).toBeNull();
    expect(serve({}, { HEDGEROW_PEER_ADDR: "" }).peerAddr).toBe("");
  });

  test("every flag of serve can come from the environment", () => {
    const values: Record<string, [text: string, value: unknown]> = {
      peerAddr: ["10.0.0.1:1", "10.0.0.1:1"],
      httpAddr: [":2", ":2"],
      grpcAddr: [":3", ":3"],
      corsOrigin: [
        "https://a.example, http://b.example:3",
        ["https://a.example", "http://b.example:3"],
      ],
      httpHosts: ["a.example, 10.0.0.2", ["a.example", "10.0.0.2"]],
      clientTokenFile: ["/t", "/t"],
      clientTlsCert: ["/d", "/d"],
      clientTlsKey: ["/e", "/e"],
      store: ["sqlite:/x", "sqlite:/x"],
      lockTable: ["l", "l"],
      lockName: ["a name", "a name"],
      logTable: ["t", "t"],
      keepVersions: ["10", 10],
      keepAge: ["720h", 2_592_000_000],
      spillDir: ["/s", "/s"],
      spillMemory: ["256MB", 256e6],
      spillDisk: ["2GiB", 2 ** 31],
      spillCompression: ["zstd", "zstd"],
      maxMessage: ["64MiB", 67_108_864],
      maxCalls: ["1", 1],
      maxStreams: ["65536", 65_536],
      lease: ["2m", 120_000],
      syncInterval: ["2500ms", 2_500],
      join: ["a:1,[::1]:2", ["a:1", "[::1]:2"]],
      name: ["n", "n"],
      label: ["b", "b"],
      tls: ["none", "none"],
      tlsCert: ["/c", "/c"],
      tlsKey: ["/k", "/k"],
      tlsCa: ["/a", "/a"],
      onSend: ["http://a:1/s?x=1", new URL("http://a:1/s?x=1")],
      onBroadcast: ["https://b/", new URL("https://b/")],
      callbackKeyFile: ["/f", "/f"],
      logLevel: ["debug", "debug"],
      logFormat: ["json", "json"],
    };
    expect(Object.keys(values).sort()).toEqual(Object.keys(SERVE_FLAGS).sort());
    const environment = Object.fromEntries(
      Object.entries(values).map(([key, [text]]) => [environmentName(key), text]),
    );
    const expected = Object.fromEntries(
      Object.entries(values).map(([key, [, value]]) => [key, value]),
    );
    expect(serve({}, environment)).toEqual(expected as ReturnType<typeof serve>);
  });

  test("what belongs to one call is not read from the environment", () => {
    expect(resolveFlags(CLIENT_FLAGS, {}, { HEDGEROW_JSON: "true" }).json).toBe(false);
    const several = { HEDGEROW_SERVER: "http://a:1, https://b:2/" };
    expect(resolveFlags(CLIENT_FLAGS, {}, several).server).toEqual(["http://a:1", "https://b:2"]);
  });

  test("variables that Kubernetes sets for a Service named hedgerow do not disturb", () => {
    const environment = { HEDGEROW_PORT: "tcp://10.0.0.1:9090", HEDGEROW_SERVICE_HOST: "10.0.0.1" };
    expect(serve({}, environment)).toEqual(serve());
  });
});

describe("what is refused names the flag or variable, the value and the mend", () => {
  test("of a flag and of a variable", () => {
    expect(refusal({ lease: "1s" })).toBe("--lease 1s: must be at least 2s");
    expect(refusal({}, { HEDGEROW_LEASE: "1s" })).toBe("HEDGEROW_LEASE=1s: must be at least 2s");
    expect(refusal({ store: "" })).toBe(
      '--store "": give sqlite:PATH, spanner:projects/P/instances/I/databases/D or none',
    );
  });

  test.each([
    ["lease", "30"],
    ["lease", "soon"],
    ["lease", "-5s"],
    ["lease", "25h"],
    ["lease", "1999ms"],
    ["syncInterval", "1s"],
    ["keepVersions", "0"],
    ["keepVersions", "10001"],
    ["keepVersions", "1.5"],
    ["keepAge", "59s"],
    ["keepAge", "7"],
    ["spillMemory", "much"],
    ["spillDisk", "-1"],
    ["spillDisk", "1XB"],
    ["spillCompression", "gzip"],
    ["peerAddr", "nonsense"],
    ["peerAddr", "host:"],
    ["peerAddr", "host:65536"],
    ["peerAddr", "::1:80"],
    ["peerAddr", "http://host:80"],
    ["httpAddr", ""],
    ["httpAddr", "9090"],
    ["grpcAddr", "8081"],
    ["grpcAddr", "host:"],
    ["store", "mysql:x"],
    ["store", "sqlite:"],
    ["lockTable", ""],
    ["lockTable", "two words"],
    ["lockTable", "1table"],
    ["lockTable", "t".repeat(129)],
    ["logTable", 'x"; DROP TABLE y'],
    ["lockName", ""],
    ["lockName", "n".repeat(1025)],
    ["lockName", "é".repeat(513)],
    ["name", "n".repeat(1025)],
    ["label", "n".repeat(1025)],
    ["join", "host"],
    ["join", "a:1,b"],
    ["join", ":8080"],
    ["corsOrigin", "*"],
    ["corsOrigin", "example.com"],
    ["corsOrigin", "https://example.com/"],
    ["tls", "file"],
    ["logLevel", "loud"],
    ["logFormat", "xml"],
  ])("--%s %p", (key, text) => {
    const said = refusal({ [key]: text });
    expect(said).toStartWith(`${flagName(key)} `);
    expect(said).toMatch(/: (give|must be) /);
    expect(said).not.toContain("\n");
  });

  test.each([
    ["lease", "2s", 2_000],
    ["lease", "1.5m", 90_000],
    ["lease", "24h", 86_400_000],
    ["lockName", "n".repeat(1024), "n".repeat(1024)],
    ["peerAddr", "[fd00::1]:8080", "[fd00::1]:8080"],
    ["httpAddr", "0.0.0.0:0", "0.0.0.0:0"],
    ["corsOrigin", "http://localhost:3000", ["http://localhost:3000"]],
  ] as const)("--%s %s passes", (key, text, value) => {
    expect(serve({ [key]: text })[key] as unknown).toEqual(value);
  });
});
