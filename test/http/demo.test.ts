import { describe, expect, test } from "bun:test";
import { type ErrorCode, HedgerowError } from "../../src/errors.ts";
import { demoHandlers } from "../../src/http/demo-handlers.ts";
import { systemClock } from "../../src/runtime/system.ts";
import { MAX_MESSAGE_BYTES } from "../../src/store/limits.ts";
import { appKit } from "./app-kit.ts";

const fails =
  (code: ErrorCode, message = `${code} happened`) =>
  async () => {
    throw new HedgerowError(code, message);
  };

describe("/put", () => {
  test("stores what follows the first space", async () => {
    const { post } = appKit();
    expect(await post("/put", "greeting hello to  all")).toEqual({
      status: 200,
      text: "put: sender=pod-1, key=greeting, value=hello to  all",
    });
    expect((await post("/get", "greeting")).text).toContain("Value:hello to  all ");
  });

  test("stores an empty value, line ends and Unicode as they are", async () => {
    const { post } = appKit();
    expect((await post("/put", "k ")).text).toBe("put: sender=pod-1, key=k, value=");
    expect((await post("/put", "k a\nb\n")).text).toBe("put: sender=pod-1, key=k, value=a\nb\n");
    expect((await post("/put", "ключ 値🌱")).text).toBe("put: sender=pod-1, key=ключ, value=値🌱");
  });

  test.each([["novalue"], [""]])("refuses %p", async (body) => {
    expect(await appKit().post("/put", body)).toEqual({
      status: 400,
      text: `invalid msg format: give "KEY VALUE" as the body, as in curl -d 'k v'`,
    });
  });

  test.each([
    ["invalid_argument", 400],
    ["too_large", 413],
    ["conflict", 409],
    ["no_leader", 503],
    ["stopped", 503],
    ["overloaded", 503],
    ["timeout", 504],
    ["outcome_unknown", 504],
    ["not_supported", 501],
  ] as const)("gives %s its status", async (code, status) => {
    const { post } = appKit({ put: fails(code) });
    expect(await post("/put", "k v")).toEqual({ status, text: `${code} happened` });
  });

  test("hides what a defect says, and logs it", async () => {
    const { post, logged } = appKit({ put: () => Promise.reject(new Error("inner secret")) });
    expect(await post("/put", "k v")).toEqual({ status: 500, text: "internal error" });
    expect(logged.join()).toContain("inner secret");
  });
});

describe("/get", () => {
  test("prints the latest entry as Go prints it", async () => {
    const { post } = appKit();
    await post("/put", "k old");
    await post("/put", "k new value");
    expect(await post("/get", "k")).toEqual({
      status: 200,
      text: "get: sender=pod-1, key=k, value=[{Key:k Value:new value Timestamp:2025-01-02 03:04:05.123457 +0000 UTC}]",
    });
  });

  test("prints [] for an unknown key", async () => {
    expect(await appKit().post("/get", "nobody")).toEqual({
      status: 200,
      text: "get: sender=pod-1, key=nobody, value=[]",
    });
  });

  test("says what to give where no key is given", async () => {
    expect(await appKit().post("/get")).toEqual({
      status: 400,
      text: "give the key as the body, as in curl -d key",
    });
  });

  test("takes any method", async () => {
    const { ask } = appKit();
    for (const method of ["PUT", "PATCH", "DELETE", "QUERY"]) {
      expect(await (await ask("/get", { method, body: "k" })).text()).toEndWith("value=[]");
    }
  });
});

describe("/send and /broadcast", () => {
  test("send prints the leader's reply, and says hello by default", async () => {
    const { post, ask } = appKit();
    expect(await post("/send", "x y")).toEqual({
      status: 200,
      text: "sender=pod-1, reply=reliably sent x y",
    });
    expect(await (await ask("/send")).text()).toBe("sender=pod-1, reply=reliably sent hello");
  });

  test("broadcast prints a line for each member", async () => {
    const expected =
      "broadcast: sender=pod-1, reply=10.0.0.1:8080 hello\n" +
      "broadcast: sender=pod-1, reply=10.0.0.2:8080 hello\n";
    expect(await appKit().post("/broadcast")).toEqual({ status: 200, text: expected });
  });

  test("broadcast prints the error of a node that failed", async () => {
    const error = new HedgerowError("unavailable", "10.0.0.2:8080 does not answer");
    const broadcast = async () => [
      { node: "10.0.0.2:8080", error },
      { node: "10.0.0.1:8080", data: Buffer.from("fine") },
    ];
    expect(await appKit({ broadcast }).post("/broadcast", "m")).toEqual({
      status: 200,
      text:
        "broadcast: sender=pod-1, reply=10.0.0.2:8080 does not answer\n" +
        "broadcast: sender=pod-1, reply=fine\n",
    });
  });

  test("broadcast has the status of the failure where all nodes failed", async () => {
    const broadcast = async () => [
      { node: "10.0.0.1:8080", error: new HedgerowError("no_handler", "no message handler") },
    ];
    expect(await appKit({ broadcast }).post("/broadcast", "m")).toEqual({
      status: 501,
      text: "broadcast: sender=pod-1, reply=no message handler\n",
    });
  });

  test("no leader, a late reply and a stopping node have true statuses", async () => {
    for (const [code, status] of [
      ["no_leader", 503],
      ["timeout", 504],
      ["stopped", 503],
    ] as const) {
      expect((await appKit({ sendToLeader: fails(code) }).post("/send")).status).toBe(status);
      expect((await appKit({ broadcast: fails(code) }).post("/broadcast")).status).toBe(status);
    }
  });
});

describe("bodies", () => {
  test.each(["/put", "/get", "/send", "/broadcast"])(
    "%s refuses what is not UTF-8",
    async (path) => {
      const { status, text } = await appKit().post(path, new Uint8Array([0x6b, 0x20, 0xff, 0xfe]));
      expect(status).toBe(400);
      expect(text).toBe("the body is not UTF-8: encode it");
    },
  );

  test("a body over the limit is refused, with and without an announced length", async () => {
    const large = new Uint8Array(MAX_MESSAGE_BYTES + 1).fill(97);
    const stream = new ReadableStream({
      pull: (controller) => controller.enqueue(new Uint8Array(1024 * 1024)),
    });
    for (const body of [large, stream]) {
      const { status, text } = await appKit().post("/send", body);
      expect(status).toBe(413);
      expect(text).toContain(`over ${MAX_MESSAGE_BYTES} bytes`);
    }
  });

  test("a message of exactly the limit passes", async () => {
    const { status } = await appKit().post("/send", new Uint8Array(MAX_MESSAGE_BYTES).fill(97));
    expect(status).toBe(200);
  });
});

describe("the demo's own handlers", () => {
  const at = Date.parse("2025-01-02T03:04:05Z") * 1000 + 123_456;
  const { onSend, onBroadcast } = demoHandlers({
    hostname: "pod-1",
    address: () => "10.0.0.1:8080",
    clock: { ...systemClock(), wallMicros: () => at },
  });
  const context = {
    signal: new AbortController().signal,
    timeoutMs: 1_000,
    id: "id",
    attempt: 1,
    from: "10.0.0.1:8080",
  };

  test("reply as the Go demo does", () => {
    expect(onSend(Buffer.from("hi"), context)).toBe(
      "leader [pod-1/10.0.0.1:8080] received the message [hi] on 2025-01-02T03:04:05Z",
    );
    expect(onBroadcast(Buffer.from("hi"), context)).toBe(
      "node [pod-1/10.0.0.1:8080] received the broadcast message [hi] on 2025-01-02T03:04:05Z",
    );
  });

  test("take an empty message as it is", () => {
    expect(onSend(new Uint8Array(), context)).toContain("the message [] on");
    expect(onBroadcast(new Uint8Array(), context)).toContain("message [] on");
  });
});

test("C11: neither values, keys nor messages are logged", async () => {
  const { post, logged } = appKit();
  await post("/put", "secret-key secret-value");
  await post("/get", "secret-key");
  await post("/send", "secret-message");
  await post("/broadcast?q=secret-query", "secret-message");
  await post("/put", "secret-only");
  expect(logged).toHaveLength(5);
  expect(logged.join()).not.toContain("secret");
});
