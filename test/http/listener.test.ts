import { describe, expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { HttpListener } from "../../src/http/listener.ts";
import { systemClock } from "../../src/runtime/system.ts";

const clock = systemClock();
const listen = (address = "127.0.0.1:0") => new HttpListener({ address, clock });
const answering = (fetch: () => Response | Promise<Response>) => ({ fetch, stop() {} });

function thrownBy(run: () => unknown): HedgerowError {
  try {
    run();
  } catch (error) {
    if (error instanceof HedgerowError) return error;
  }
  throw new Error("no HedgerowError was thrown");
}

describe("HttpListener", () => {
  test("is alive, but not ready, until it is given what to serve", async () => {
    const listener = listen();
    const url = `http://${listener.address}/`;
    expect((await fetch(`${url}livez`)).status).toBe(200);
    const early = await fetch(`${url}readyz`);
    expect([early.status, await early.text()]).toEqual([503, "the node is starting: try again\n"]);
    listener.serve(answering(() => new Response("served")));
    expect(await (await fetch(url)).text()).toBe("served");
    await listener.stop();
    expect(await fetch(url).catch((error: Error) => error)).toBeInstanceOf(Error);
  });

  test("C9: a busy port is one line that names the flag and the mend", async () => {
    const first = listen();
    const error = thrownBy(() => listen(first.address));
    expect(error.code).toBe("unavailable");
    expect(error.message).toMatch(
      /^--http-addr 127\.0\.0\.1:\d+: port \d+ is in use: .*another port$/,
    );
    await first.stop();
  });

  test("C9: an address of another machine is one line too", () => {
    const error = thrownBy(() => listen("192.0.2.1:0"));
    expect(error.code).toBe("invalid_argument");
    expect(error.message).toMatch(/^--http-addr 192\.0\.2\.1:0: [^\n]+$/);
  });

  test("C10: stop lets a request under way finish, and ends streams", async () => {
    const listener = listen();
    const entered = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    let stopped = 0;
    listener.serve({
      async fetch() {
        entered.resolve();
        await finish.promise;
        return new Response("finished");
      },
      stop: () => void stopped++,
    });
    const reply = fetch(`http://${listener.address}/`).then((response) => response.text());
    await entered.promise;
    const stopping = listener.stop();
    finish.resolve();
    expect(await reply).toBe("finished");
    await stopping;
    expect(stopped).toBe(1);
  });

  test("C10: stop cuts off a request that never ends, once the grace is over", async () => {
    let expire = () => {};
    const impatient = {
      ...clock,
      schedule: (_: number, run: () => void) => {
        expire = run;
        return { cancel() {} };
      },
    };
    const listener = new HttpListener({ address: "127.0.0.1:0", clock: impatient });
    const entered = Promise.withResolvers<void>();
    listener.serve(
      answering(() => {
        entered.resolve();
        return new Promise(() => {});
      }),
    );
    const reply = fetch(`http://${listener.address}/`).catch((error: Error) => error);
    await entered.promise;
    const stopping = listener.stop();
    expire();
    await stopping;
    expect(await reply).toBeInstanceOf(Error);
  });
});
