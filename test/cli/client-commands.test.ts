import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { runProgram } from "../../src/cli/program.ts";
import { HedgerowError } from "../../src/errors.ts";
import type * as api from "../../src/node/api.ts";
import { fakeNode } from "../http/fake-node.ts";
import { cli, cliKit } from "./cli-kit.ts";
import { run, withServer } from "./server-kit.ts";

describe("put and get", () => {
  test("put prints time and id, get a table of versions, newest first", async () => {
    await withServer({}, async (url) => {
      const put = await cli(["put", "k", "first value", "--server", url]);
      expect(put).toEqual({ code: 0, stdout: "2025-01-02T03:04:05.123456Z  id-0\n", stderr: "" });
      await cli(["put", "k", "two\nlines", "--id", "mine", "--server", url]);
      const latest = await cli(["get", "k", "--server", url]);
      expect(latest.stdout.split("\n")).toHaveLength(3);
      const all = await cli(["get", "k", "--limit", "-1", "--server", url]);
      expect(all.stdout).toBe(
        [
          "TIME                         ID    WRITTEN BY     VALUE",
          "2025-01-02T03:04:05.123457Z  mine  10.0.0.1:8080  two\\nlines",
          "2025-01-02T03:04:05.123456Z  id-0  10.0.0.1:8080  first value",
          "",
        ].join("\n"),
      );
    });
  });

  test("as JSON", async () => {
    await withServer({}, async (url) => {
      const put = await cli(["put", "k", "two\nlines", "--json", "--server", url]);
      const written = { key: "k", id: "id-0", timestamp: "2025-01-02T03:04:05.123456Z" };
      expect(JSON.parse(put.stdout)).toEqual(written);
      const got = await cli(["get", "k", "--json", "--server", url]);
      expect(JSON.parse(got.stdout)).toEqual([
        { ...written, value: "two\nlines", leader: "10.0.0.1:8080" },
      ]);
    });
  });

  test("an unknown key prints nothing but a remark", async () => {
    expect(await run({}, "get", "nobody")).toEqual({
      code: 0,
      stdout: "",
      stderr: "no version of nobody\n",
    });
    expect((await run({}, "get", "nobody", "--json")).stdout).toBe("[]\n");
  });

  test("conditions reach the node, and a conflict names the newest version", async () => {
    const seen: unknown[] = [];
    const put = async (_: string, __: string, { ifVersion, fence }: api.PutOptions = {}) => {
      seen.push([ifVersion, fence?.name, fence?.token]);
      if (ifVersion === "old") {
        throw new HedgerowError("conflict", 'put: "new" is the newest version', { current: "new" });
      }
      return { id: "1", timestamp: 1 };
    };
    await run({ put }, "put", "k", "v", "--if-version", "none");
    await run({ put }, "put", "k", "v", "--fence", "a=b=17");
    const refused = await run({ put }, "put", "k", "v", "--if-version", "old");
    const error = 'hedgerow put: "new" is the newest version\n';
    expect(refused).toEqual({ code: 1, stdout: "", stderr: error });
    await run({ put }, "put", "k", "v");
    expect(seen).toEqual([
      ["", undefined, undefined],
      [undefined, "a=b", "17"],
      ["old", undefined, undefined],
      [undefined, undefined, undefined],
    ]);
    for (const fence of ["name", "=1", "name=", "name=x"]) {
      const { code, stderr } = await run({ put }, "put", "k", "v", "--fence", fence);
      expect(code).toBe(2);
      expect(stderr).toStartWith(`hedgerow put: --fence ${fence}: give the lock's name`);
    }
    // What `--if-version "$ID"` comes to where ID is not set must not be a put on no condition.
    for (const flag of ["--if-version", "--fence"]) {
      const { code, stderr } = await run({ put }, "put", "k", "v", flag, "");
      expect(code).toBe(2);
      expect(stderr).toStartWith(`hedgerow put: ${flag} "": give `);
      expect(stderr).toEndWith("; leave the flag out to write on no condition\n");
    }
    expect(seen).toHaveLength(4);
  });

  test("switches reach the node", async () => {
    let seen: api.PutOptions = {};
    const put = async (_: string, __: string, options: api.PutOptions = {}) => {
      seen = options;
      return { id: "-", timestamp: 1 };
    };
    await run({ put }, "put", "k", "v", "--no-append", "--direct-write");
    expect(seen).toMatchObject({ noAppend: true, directWrite: true });
    await run({ put }, "put", "k", "v");
    expect(seen).toMatchObject({ noAppend: false, directWrite: false });
    await run({ put }, "put", "k", "v", "--timeout", "1500ms");
    expect(seen.timeoutMs).toBeLessThanOrEqual(1500);
  });
});

describe("send and broadcast", () => {
  test("send prints the reply", async () => {
    expect(await run({}, "send", "hi")).toEqual({ code: 0, stdout: "sent hi\n", stderr: "" });
    expect((await run({}, "send", "hi", "--json")).stdout).toBe('{"reply":"sent hi"}\n');
  });

  test("a reply that is no text is base 64 in JSON", async () => {
    const send = async () => new Uint8Array([0xff, 0x00]);
    expect((await run({ send }, "send", "x", "--json")).stdout).toBe('{"replyBase64":"/wA="}\n');
  });

  test("broadcast prints each reply as it comes", async () => {
    const second = Promise.withResolvers<void>();
    async function* broadcastStream(): AsyncIterable<api.BroadcastReply> {
      yield { node: "a:1", data: Buffer.from("first") };
      await second.promise;
      yield { node: "b:2", data: Buffer.from("second") };
    }
    await withServer({ broadcastStream }, async (url) => {
      const { context, written } = cliKit(["broadcast", "m", "--server", url]);
      const running = runProgram(context);
      while (written.stdout === "") await Bun.sleep(1);
      expect(written.stdout).toBe("a:1  first\n");
      second.resolve();
      expect(await running).toBe(0);
      expect(written.stdout).toBe("a:1  first\nb:2  second\n");
    });
  });

  test("broadcast ends with 1 if a member failed", async () => {
    async function* broadcastStream(): AsyncIterable<api.BroadcastReply> {
      yield { node: "a:1", data: Buffer.from("fine") };
      yield { node: "b:2", error: new HedgerowError("unavailable", "no answer") };
    }
    const plain = await run({ broadcastStream }, "broadcast", "m");
    expect(plain).toEqual({ code: 1, stdout: "a:1  fine\nb:2  FAILED: no answer\n", stderr: "" });
    const json = await run({ broadcastStream }, "broadcast", "m", "--json");
    const replies = json.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(replies).toEqual([
      { node: "a:1", reply: "fine" },
      { node: "b:2", error: "no answer" },
    ]);
  });

  test("broadcast's switches reach the node", async () => {
    let seen: api.BroadcastOptions = {};
    async function* broadcastStream(
      _: api.Bytes,
      options: api.BroadcastOptions = {},
    ): AsyncIterable<api.BroadcastReply> {
      seen = options;
      yield* [];
    }
    const only = "10.0.0.1:8080,10.0.0.2:8080";
    await run({ broadcastStream }, "broadcast", "m", "--skip-self", "--only", only);
    expect(seen).toMatchObject({ skipSelf: true, onlySendTo: only.split(",") });
  });

  test("broadcast to nobody's address is an error, and nothing is sent", async () => {
    let sent = false;
    async function* broadcastStream(): AsyncIterable<api.BroadcastReply> {
      sent = true;
      yield* [];
    }
    const only = "10.0.0.1:8080,127.0.0.1:1";
    expect(await run({ broadcastStream }, "broadcast", "m", "--only", only)).toEqual({
      code: 1,
      stdout: "",
      stderr: 'hedgerow broadcast: no member 127.0.0.1:1: see "hedgerow members"\n',
    });
    expect(sent).toBe(false);
  });

  test("an empty message is delivered as one", async () => {
    const seen: number[] = [];
    const send = async (data: api.Bytes) => {
      seen.push(data.length);
      return Buffer.from("");
    };
    expect(await run({ send }, "send", "")).toEqual({ code: 0, stdout: "\n", stderr: "" });
    expect(seen).toEqual([0]);
  });

  test("control characters of a reply are escaped, except in JSON", async () => {
    const data = Buffer.from("red \u001b[31m\nsecond\u009b");
    async function* broadcastStream(): AsyncIterable<api.BroadcastReply> {
      yield { node: "a:1", data };
    }
    const replaced = { send: async () => data, broadcastStream };
    const shown = "red \\u001b[31m\\nsecond\\u009b\n";
    expect((await run(replaced, "send", "m")).stdout).toBe(shown);
    expect((await run(replaced, "broadcast", "m")).stdout).toBe(`a:1  ${shown}`);
    const json = await run(replaced, "send", "m", "--json");
    expect(JSON.parse(json.stdout)).toEqual({ reply: data.toString() });
  });
});

describe("what a node knows", () => {
  test("status", async () => {
    const { stdout } = await run({}, "status");
    expect(stdout).toBe(
      [
        "node    10.0.0.1:8080",
        "leader  10.0.0.1:8080 (this node)",
        "token   1735787045123456",
        "",
        "ADDRESS        NAME           ROLE      STATE        INCARNATION",
        "10.0.0.1:8080  10.0.0.1:8080  leader    participant  1763688845123",
        "10.0.0.2:8080  10.0.0.2:8080  follower  suspect      1763688845123",
        "",
      ].join("\n"),
    );
    expect(JSON.parse((await run({}, "status", "--json")).stdout)).toMatchObject({
      node: "10.0.0.1:8080",
      leader: "10.0.0.1:8080",
      isLeader: true,
      token: "1735787045123456",
      members: [
        { role: "leader", state: "participant", incarnation: 1763688845123 },
        { role: "follower", state: "suspect" },
      ],
    });
  });

  test("members", async () => {
    expect((await run({}, "members")).stdout).toStartWith("ADDRESS        NAME ");
    expect(JSON.parse((await run({}, "members", "--json")).stdout)).toHaveLength(2);
  });

  test("leader", async () => {
    expect((await run({}, "leader")).stdout).toBe("10.0.0.1:8080\n");
    expect((await run({}, "leader", "--json")).stdout).toBe(
      '{"leader":"10.0.0.1:8080","token":"1735787045123456"}\n',
    );
  });

  test("no leader is an error of one line", async () => {
    const status = () => ({
      ...fakeNode().status(),
      node: "n",
      leader: null,
      isLeader: false,
      token: null,
      members: [],
    });
    expect(await run({ status }, "leader")).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "hedgerow leader: n knows no leader: ask again once a lease is over; with --store none nobody leads\n",
    });
  });
});

describe("failures are one line", () => {
  const failing = (error: HedgerowError) => ({ put: () => Promise.reject(error) });

  test.each([
    [new HedgerowError("no_leader", "no leader is known"), 1],
    [new HedgerowError("unavailable", "the leader does not answer"), 1],
    [new HedgerowError("timeout", "not done\nin time"), 1],
    [new HedgerowError("invalid_argument", "key is empty: give one"), 2],
    [new HedgerowError("too_large", "value is too large: shorten it"), 2],
  ])("%s", async (error, code) => {
    expect(await run(failing(error), "put", "k", "v")).toEqual({
      code,
      stdout: "",
      stderr: `hedgerow put: ${error.message.replace("\n", "\\n")}\n`,
    });
  });

  test("the command's name is there once", async () => {
    const error = new HedgerowError("timeout", "put: not done in time");
    const { stderr } = await run(failing(error), "put", "k", "v");
    expect(stderr).toBe("hedgerow put: not done in time\n");
  });

  let closed = "";
  beforeAll(async () => {
    closed = await withServer({}, async (url) => url);
  });

  test.each(["put k v", "get k", "send m", "broadcast m", "members", "leader", "status"])(
    "%s without a server says how to start one",
    async (typed) => {
      const argv = typed.split(" ");
      const { code, stdout, stderr } = await cli([...argv, "--server", closed]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toBe(
        `hedgerow ${argv[0]}: no server answers at ${closed}: start one with "hedgerow dev", or name another with --server\n`,
      );
    },
  );

  let other: Bun.Server<undefined>;
  beforeAll(() => {
    other = Bun.serve({ port: 0, fetch: () => new Response("<h1>other</h1>", { status: 404 }) });
  });
  afterAll(() => other.stop(true));

  test("a server that is not Hedgerow's is told", async () => {
    const { code, stderr } = await cli(["status", "--server", `http://127.0.0.1:${other.port}`]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^hedgerow status: [^\n]*\n$/);
  });

  test("a server that hangs costs no more than the time-out", async () => {
    const put = () => new Promise<never>(() => {});
    const { code, stderr } = await run({ put }, "put", "k", "v", "--timeout", "50ms");
    expect(code).toBe(1);
    expect(stderr).toMatch(/^hedgerow put: .*50 ms/);
  });

  test("Ctrl-C ends a call that waits", async () => {
    const entered = Promise.withResolvers<void>();
    const send = () => {
      entered.resolve();
      return new Promise<never>(() => {});
    };
    await withServer({ send }, async (url) => {
      const { context, stop, written } = cliKit(["send", "m", "--server", url]);
      const running = runProgram(context);
      await entered.promise;
      stop.abort();
      expect(await running).toBe(1);
      expect(written.stderr).toMatch(/^hedgerow send: [^\n]+\n$/);
    });
  });
});

describe("several servers", () => {
  test("the first that answers is asked, and all are named where none does", async () => {
    await withServer({}, async (url) => {
      const asked = await cli(["leader", "--server", `http://127.0.0.1:1,${url}`]);
      expect(asked).toMatchObject({ code: 0, stderr: "" });
    });
    const none = await cli(["leader", "--server", "http://127.0.0.1:1,http://127.0.0.1:2"]);
    expect(none).toMatchObject({ code: 1, stdout: "" });
    expect(none.stderr).toMatch(
      /^[^\n]*at http:\/\/127\.0\.0\.1:2: .*: http:\/\/127\.0\.0\.1:1\n$/,
    );
  });
});
