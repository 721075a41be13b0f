import { describe, expect, test } from "bun:test";
import { runProgram } from "../../src/cli/program.ts";
import type * as api from "../../src/node/api.ts";
import { MESSAGE_LIMIT_RANGE } from "../../src/rpc/limits.ts";
import { MAX_VALUE_BYTES } from "../../src/store/limits.ts";
import { cli, cliKit } from "./cli-kit.ts";
import { withServer } from "./server-kit.ts";

describe("- stands for stdin", () => {
  const from = (stdin: Uint8Array<ArrayBuffer>, ...argv: string[]) =>
    withServer({}, (url) => cli([...argv, "--server", url], {}, stdin));
  const text = (length: number) => new Uint8Array(length).fill(97);

  test("put takes a value of the full size, as it is", async () => {
    let stored = "";
    const put = async (_: string, value: string) => {
      stored = value;
      return { id: "x", timestamp: 1 };
    };
    const value = text(MAX_VALUE_BYTES);
    value[value.length - 1] = 10;
    const put1 = await withServer({ put }, (url) =>
      cli(["put", "k", "-", "--server", url], {}, value),
    );
    expect(put1.code).toBe(0);
    expect(stored === Buffer.from(value).toString()).toBe(true);
  });

  test("send and broadcast take bytes", async () => {
    const message = new TextEncoder().encode("from stdin");
    expect((await from(message, "send", "-")).stdout).toBe("sent from stdin\n");
    expect((await from(message, "broadcast", "-")).stdout).toContain("10.0.0.2:8080 from stdin\n");
    expect((await from(new Uint8Array(), "send", "-")).stdout).toBe("sent \n");
    const sent: Uint8Array[] = [];
    const send = async (data: api.Bytes) => {
      sent.push(Buffer.from(data as Uint8Array));
      return Buffer.from("");
    };
    const bytes = new Uint8Array([0xff, 0x00]);
    await withServer({ send }, (url) => cli(["send", "-", "--server", url], {}, bytes));
    expect(sent).toEqual([Buffer.from([0xff, 0x00])]);
  });

  test("too much of it, and a value that is no text, are refused", async () => {
    for (const [argv, bytes] of [
      [["put", "k", "-"], MAX_VALUE_BYTES],
      [["send", "-"], MESSAGE_LIMIT_RANGE.max],
      [["broadcast", "-"], MESSAGE_LIMIT_RANGE.max],
    ] as const) {
      const { code, stderr } = await from(text(bytes + 1), ...argv);
      expect(code).toBe(2);
      expect(stderr).toBe(`hedgerow ${argv[0]}: stdin is over ${bytes} bytes: shorten it\n`);
    }
    expect((await from(new Uint8Array([0xff]), "put", "k", "-")).stderr).toBe(
      "hedgerow put: stdin is not UTF-8: encode it\n",
    );
  });

  test("Ctrl-C ends the wait for it", async () => {
    const { context, stop, written } = cliKit(["send", "-"]);
    const running = runProgram(context);
    stop.abort();
    expect(await running).toBe(1);
    expect(written.stderr).toBe("hedgerow send: canceled while it read stdin\n");
  });
});
