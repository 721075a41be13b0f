import { createServer } from "node:net";
import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { WARN_EVERY_MS } from "../../src/sidecar/trouble.ts";
import { ManualClock } from "../rpc/kit/clock.ts";
import { until } from "../rpc/kit/wait.ts";
import { freePorts } from "../cli/process-kit.ts";
import { atEnd, bytes, callback, context, problemOf, runtime, service } from "./kit.ts";

function fail(): never {
  throw new Error("nothing came");
}

test("bytes go in the body, metadata in headers, and the reply is the body of the answer", async () => {
  const all = Uint8Array.from({ length: 256 }, (_, i) => i);
  const seen: { method: string; url: string; headers: Headers; body: Uint8Array }[] = [];
  const url = service(async (request) => {
    const { method, headers } = request;
    seen.push({ method, url: request.url, headers, body: await request.bytes() });
    return new Response(all.toReversed(), { status: 202 });
  });
  url.search = "?a=b%20c";
  const { handle } = callback(url);
  const before = Math.floor(Date.now() / 1e3);
  const reply = await handle(all, context({ attempt: 3 }));
  expect(reply).toEqual(all.toReversed());
  const [{ method, url: asked, headers, body } = fail()] = seen;
  expect([method, asked]).toEqual(["POST", url.href]);
  expect(body).toEqual(all);
  const told = Object.fromEntries([...headers].filter(([name]) => name.startsWith("hedgerow-")));
  const { "hedgerow-timestamp": timestamp, "hedgerow-timeout-ms": timeoutMs, ...rest } = told;
  expect(rest).toEqual({
    "hedgerow-attempt": "3",
    "hedgerow-from": "10.0.0.2:8080",
    "hedgerow-id": "ID",
    "hedgerow-kind": "send",
    "hedgerow-label": "a%20label%2F%C3%BC",
    "hedgerow-node": "10.0.0.1:8080",
    "hedgerow-token": "1735787045123456",
  });
  expect(headers.get("content-type")).toBe("application/octet-stream");
  expect(Number(timestamp)).toBeGreaterThanOrEqual(before);
  expect(Number(timestamp)).toBeLessThanOrEqual(before + 5);
  expect(Number(timeoutMs)).toBeGreaterThan(4_000);
  expect(Number(timeoutMs)).toBeLessThanOrEqual(5_000);
});

test("no content is an empty reply", async () => {
  const { handle } = callback(service(() => new Response(null, { status: 204 })));
  expect(await handle(bytes("x"), context())).toEqual(new Uint8Array());
});

test("another status is the first line of what the service says", async () => {
  const answers: [number, string, string][] = [
    [500, "no stock\nat line 3", "no stock"],
    [404, "\n\n  not here  \r\nmore", "not here"],
    [503, "", "answered 503"],
    [409, "x".repeat(10_000), "x".repeat(500)],
    [502, "x".repeat(100_000), "answered 502"],
  ];
  for (const [status, text, said] of answers) {
    const { handle, logger } = callback(service(() => new Response(text, { status })));
    const error = await handle(bytes("x"), context()).catch((thrown: unknown) => thrown);
    expect(HedgerowError.is(error, "handler_failed")).toBe(true);
    expect((error as Error).message).toEndWith(said);
    // C11: what the service says may be anybody's value.
    expect(logger.lines.join()).toContain(`status ${status}`);
    if (text !== "") expect(logger.lines.join()).not.toContain(text.trim().slice(0, 8));
  }
});

test("a redirect is not followed", async () => {
  let followed = 0;
  const elsewhere = service(() => {
    followed++;
    return new Response("stolen");
  });
  for (const status of [301, 302, 303, 307, 308]) {
    const url = service(() => Response.redirect(elsewhere.href, status));
    expect(await problemOf(callback(url).handle(bytes("x"), context()))).toEndWith(
      `answered ${status}: redirects are not followed`,
    );
  }
  expect(followed).toBe(0);
});

test("a reply over the limit is refused, declared or not, and none is unpacked", async () => {
  const limited = { maxReplyBytes: 1_000 };
  const large = new Uint8Array(1_001);
  const streamed = () => new Response(new Blob([large]).stream());
  for (const answer of [() => new Response(large), streamed]) {
    const { handle } = callback(service(answer), limited);
    expect(await problemOf(handle(bytes("x"), context()))).toContain(
      "the reply is over 1000 bytes",
    );
  }
  const exact = callback(
    service(() => new Response(large.subarray(1))),
    limited,
  );
  expect((await exact.handle(bytes("x"), context())).length).toBe(1_000);
  const packed = Bun.gzipSync(new Uint8Array(1_000_000));
  const headers = { "content-encoding": "gzip" };
  const bomb = callback(service(() => new Response(packed, { headers })));
  expect(await problemOf(bomb.handle(bytes("x"), context()))).toContain("answered in gzip");
});

test("a reply that breaks off is an error, never a part of it", async () => {
  for (const [header, body] of [
    ["content-length: 10", "hello"],
    ["transfer-encoding: chunked", "5\r\nhello\r\n"],
  ]) {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(`HTTP/1.1 200 OK\r\n${header}\r\n\r\n${body}`));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    atEnd(() => server.close());
    const { port } = server.address() as { port: number };
    const { handle } = callback(new URL(`http://127.0.0.1:${port}/`));
    expect(await problemOf(handle(bytes("x"), context()))).toContain("broke");
  }
});

test("a slow service is given up when the sender's time is over", async () => {
  const aborted = Promise.withResolvers<void>();
  const url = service((request) => {
    request.signal.addEventListener("abort", () => aborted.resolve());
    return new Promise(() => {});
  });
  const { handle, logger } = callback(url);
  const sender = new AbortController();
  const work = handle(bytes("x"), context({ signal: sender.signal }));
  setTimeout(() => sender.abort(new HedgerowError("timeout", "over")), 50);
  await expect(work).rejects.toMatchObject({ code: "timeout", message: "over" });
  await aborted.promise;
  expect(logger.lines).toEqual([expect.stringContaining("no answer in time")]);
});

test("a dead service is a clear error, and one warning in half a minute", async () => {
  const clock = new ManualClock();
  const url = new URL(`http://127.0.0.1:${freePorts(1)}/messages?key=secret`);
  const { handle, logger } = callback(url, {
    runtime: {
      random: runtime.random,
      clock: {
        bootId: clock.bootId,
        now: () => clock.now(),
        wallMicros: () => clock.wallMicros(),
        schedule: (ms, run) => runtime.clock.schedule(ms, run),
      },
    },
  });
  const started = performance.now();
  for (let i = 0; i < 3; i++) {
    const problem = await problemOf(handle(bytes("x"), context()));
    expect(problem).toBe(`the service at ${url.origin}/messages cannot be reached: ECONNREFUSED`);
  }
  expect(performance.now() - started).toBeLessThan(20_000);
  expect(logger.lines.length).toBe(1);
  clock.pass(WARN_EVERY_MS);
  await problemOf(handle(bytes("x"), context()));
  expect(logger.lines.length).toBe(2);
  expect(logger.lines[1]).toContain('"failures":3');
  expect(logger.lines.join()).not.toContain("secret");
});

test("a service that is just being started gets the message once it listens", async () => {
  const port = freePorts(1);
  const clock = new ManualClock();
  const url = new URL(`http://127.0.0.1:${port}/`);
  const { handle } = callback(url, { runtime: { ...runtime, clock } });
  const reply = handle(bytes("x"), context());
  await until("nobody was there, and it pauses", () => clock.timers.size > 0);
  let requests = 0;
  const server = Bun.serve({
    port,
    hostname: "127.0.0.1",
    fetch: () => new Response(`request ${++requests}`),
  });
  atEnd(() => server.stop(true));
  clock.pass(1_000);
  expect(new TextDecoder().decode(await reply)).toBe("request 1");
});

test("what may have been executed is never sent again", async () => {
  let requests = 0;
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => {
      if (!data.toString().includes("POST")) return;
      requests++;
      // The first connection answers once, so that the next request re-uses it.
      if (requests === 1) socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
      else socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => server.close());
  const { port } = server.address() as { port: number };
  const { handle } = callback(new URL(`http://127.0.0.1:${port}/`));
  expect(await problemOf(handle(bytes("x"), context()))).toBe("none");
  for (let sent = 2; sent <= 4; sent++) {
    expect(await problemOf(handle(bytes("x"), context()))).toContain("broke");
    expect(requests).toBe(sent);
  }
});

test("connections are used again, and so many requests are under way at most", async () => {
  const connections = new Set<number>();
  let running = 0;
  let most = 0;
  const full = Promise.withResolvers<void>();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request, own) {
      connections.add(own.requestIP(request)?.port ?? 0);
      most = Math.max(most, ++running);
      if (running === 12) full.resolve();
      await full.promise;
      await Bun.sleep(5);
      running--;
      return new Response("ok");
    },
  });
  atEnd(() => server.stop(true));
  const { handle } = callback(new URL(`http://127.0.0.1:${server.port}/`));
  await Promise.all(Array.from({ length: 200 }, () => handle(bytes("x"), context())));
  expect(most).toBe(12);
  expect(connections.size).toBeLessThanOrEqual(12);
});

test("what waits is bounded, ends with its sender, and is then not sent", async () => {
  const release = Promise.withResolvers<void>();
  let requests = 0;
  const url = service(async () => {
    requests++;
    await release.promise;
    return new Response("ok");
  });
  const { handle } = callback(url);
  const sender = new AbortController();
  const running = Array.from({ length: 12 }, () => handle(bytes("x"), context()));
  const patient = handle(bytes("x"), context());
  const waiting = Array.from({ length: 1_023 }, () =>
    problemOf(handle(bytes("x"), context({ signal: sender.signal }))),
  );
  expect(await problemOf(handle(bytes("x"), context()))).toBe(
    "1024 messages wait for the service: try again later",
  );
  sender.abort(new HedgerowError("timeout", "over"));
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(["over"]));
  await until("twelve are there", () => requests === 12);
  release.resolve();
  await Promise.all([...running, patient]);
  expect(requests).toBe(13);
  const large = new Uint8Array(4 * 1024 * 1024);
  const sixteen = Array.from({ length: 12 + 16 }, () => handle(large, context()));
  expect(await problemOf(handle(large, context()))).toContain("16 messages wait");
  await Promise.all(sixteen);
});

test("the proxy of the environment is not used for loopback", async () => {
  const script = `
    import { Callback } from ${JSON.stringify(new URL("../../src/sidecar/callback.ts", import.meta.url).pathname)};
    import { systemRuntime } from ${JSON.stringify(new URL("../../src/runtime/system.ts", import.meta.url).pathname)};
    import { silentLogger } from ${JSON.stringify(new URL("../../src/observe/logger.ts", import.meta.url).pathname)};
    const callback = new Callback({
      kind: "send", url: new URL(process.argv[1]), keys: () => [], runtime: systemRuntime(), logger: silentLogger,
      about: async () => ({ label: "l", node: "n", token: "" }),
    });
    const { signal } = new AbortController();
    const reply = await callback.handle(new Uint8Array(), { signal, timeoutMs: 5000, id: "", attempt: 1, from: "" });
    console.log(new TextDecoder().decode(reply));
    process.exit(0);`;
  const url = service(() => new Response("direct"));
  const proxy = service(() => new Response("by proxy")).origin;
  const child = Bun.spawn([process.execPath, "-e", script, url.href], {
    env: { ...process.env, HTTP_PROXY: proxy, http_proxy: proxy, NO_PROXY: "", no_proxy: "" },
    stdout: "pipe",
  });
  expect(await new Response(child.stdout).text()).toBe("direct\n");
});
