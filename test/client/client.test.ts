import { afterEach, describe, expect, test } from "bun:test";
import { createClient, HedgerowError } from "../../src/client/index.ts";
import type { HedgerowNode, PutOptions } from "../../src/node/api.ts";
import { fakeNode } from "../http/fake-node.ts";
import { closeAll, serving } from "./client-kit.ts";
import { lookedAtLater } from "../rpc/kit/wait.ts";

afterEach(closeAll);

/** Nothing listens there. */
const NOBODY = "http://127.0.0.1:1";

async function failureOf(call: Promise<unknown>): Promise<HedgerowError> {
  const error = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(HedgerowError);
  return error as HedgerowError;
}

/** A node whose `send` fails so often before it answers. */
function failing(times: number, error: HedgerowError) {
  const seen = { calls: 0 };
  const send: HedgerowNode["send"] = async () => {
    seen.calls++;
    if (seen.calls <= times) throw error;
    return Buffer.from("done");
  };
  return { seen, send };
}

describe("calls", () => {
  test("unary, and streams from the node", async () => {
    const client = createClient({ addresses: serving() });
    const { id } = await client.put({ key: "k", value: "v" });
    const { entries } = await client.get({ key: "k" });
    expect(entries.map((entry) => [entry.id, entry.value])).toEqual([[id, "v"]]);
    const replies = await Array.fromAsync(client.broadcast({ data: Buffer.from("hi") }));
    expect(replies.map(({ node }) => node)).toEqual(["10.0.0.1:8080", "10.0.0.2:8080"]);
  });

  test("a token is shown, also one that changes", async () => {
    const shown: (string | null)[] = [];
    let token = "first";
    const client = createClient({
      addresses: serving(),
      token: () => token,
      fetch: (url, init) => {
        shown.push(new Headers(init.headers).get("authorization"));
        return fetch(url, init);
      },
    });
    await client.status({});
    token = "second";
    await client.status({});
    expect(shown).toEqual(["Bearer first", "Bearer second"]);
  });

  test.each([
    [() => Promise.reject(new Error("no such secret")), "no such secret"],
    ["two\nlines of it", "the token is none"],
  ])("a token that cannot be shown is said at once, and no node is asked", async (token, said) => {
    let asked = 0;
    const count = async () => {
      asked++;
      return new Response();
    };
    const client = createClient({ addresses: NOBODY, token, fetch: count });
    const calls = [client.get({ key: "k" }), Array.fromAsync(client.watchLog({ key: "k" }))];
    for (const call of lookedAtLater(calls)) {
      const { code, message } = await failureOf(call);
      expect(code).toBe("unauthenticated");
      expect(message).toContain(said);
      expect(message).not.toContain("lines of it");
    }
    expect(asked).toBe(0);
  });

  test("leaving a stream ends it on the node", async () => {
    const ended = Promise.withResolvers<void>();
    const node = { observe: () => () => ended.resolve() };
    const client = createClient({ addresses: serving(node) });
    for await (const { members } of client.watchMembers({})) {
      expect(members.length).toBe(2);
      break;
    }
    await ended.promise;
  });

  test("streams that both sides write; leaving one ends what was being written", async () => {
    const client = createClient({ addresses: serving() });
    const ended = Promise.withResolvers<void>();
    async function* endless() {
      try {
        for (let i = 0; ; i++) {
          const value = Buffer.from(`${i}`);
          yield { part: { case: "data" as const, value } };
          await new Promise((later) => setTimeout(later, 1));
        }
      } finally {
        ended.resolve();
      }
    }
    const replies: string[] = [];
    for await (const { data } of client.streamToLeader(endless())) {
      replies.push(Buffer.from(data).toString());
      if (replies.length === 3) break;
    }
    expect(replies).toEqual(["streamed 0", "streamed 1", "streamed 2"]);
    await ended.promise;
  });

  test("a signal ends what waits", async () => {
    const aborted = Promise.withResolvers<void>();
    const leaving = new AbortController();
    const send: HedgerowNode["send"] = (_, { signal } = {}) => {
      signal?.addEventListener("abort", () => aborted.resolve());
      leaving.abort();
      return new Promise(() => {});
    };
    const client = createClient({ addresses: serving({ send }) });
    const { code } = await failureOf(client.send({}, { signal: leaving.signal }));
    expect(code).toBe("canceled");
    await aborted.promise;
  });

  test("every unary call has a deadline", async () => {
    const send = () => new Promise<never>(() => {});
    const client = createClient({ addresses: serving({ send }), timeoutMs: 100 });
    expect((await failureOf(client.send({}))).code).toBe("timeout");
    expect((await failureOf(client.send({}, { timeoutMs: 50 }))).message).toContain("50 ms");
  });
});

describe("errors", () => {
  const FAILURE = new HedgerowError("handler_failed", "ünits: 100 %", {
    leader: { address: "10.0.0.9:8080", token: 17, released: false },
    retryDelayMs: 250,
  });

  test("are what the node threw, of unary calls and in streams", async () => {
    const client = createClient({
      addresses: serving({
        send: () => Promise.reject(FAILURE),
        async *broadcastStream() {
          yield { node: "10.0.0.1:8080", data: Buffer.from("one") };
          throw FAILURE;
        },
      }),
    });
    const calls = [client.send({}), Array.fromAsync(client.broadcast({}))];
    for (const call of lookedAtLater(calls)) {
      const { code, message, leader, retryDelayMs } = await failureOf(call);
      expect({ code, message, leader, retryDelayMs }).toEqual({
        code: FAILURE.code,
        message: FAILURE.message,
        leader: FAILURE.leader,
        retryDelayMs: FAILURE.retryDelayMs,
      });
    }
  });

  test("nobody there is `unavailable`, with the address", async () => {
    const { code, message } = await failureOf(
      createClient({ addresses: NOBODY, retries: 0 }).status({}),
    );
    expect([code, message]).toEqual(["unavailable", expect.stringContaining(NOBODY)]);
  });

  test("an answer that breaks off is `outcome_unknown`, as is one that nobody can read", async () => {
    const broken = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.end() },
    });
    const strange = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("hi") });
    const headers = { "content-type": "application/connect+proto" };
    const cut = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response(new Uint8Array(), { headers }),
    });
    try {
      for (const { port } of [broken, strange]) {
        const client = createClient({ addresses: `http://127.0.0.1:${port}`, retries: 0 });
        expect((await failureOf(client.send({}))).code).toBe("outcome_unknown");
      }
      const client = createClient({ addresses: `http://127.0.0.1:${cut.port}`, retries: 0 });
      const call = Array.fromAsync(client.broadcast({}));
      expect((await failureOf(call)).code).toBe("outcome_unknown");
    } finally {
      broken.stop(true);
      await Promise.all([strange.stop(true), cut.stop(true)]);
    }
  });

  test.each([
    [{ addresses: [] }, "addresses is empty"],
    [{ addresses: "localhost:9090" }, "give a URL"],
    [{ addresses: NOBODY, timeoutMs: 0 }, "timeoutMs 0"],
    [{ addresses: NOBODY, retries: -1 }, "retries -1"],
  ])("%p is refused", (options, said) => {
    expect(() => createClient(options)).toThrow(said);
  });
});

describe("retries", () => {
  test.each(["no_leader", "not_leader", "unavailable", "overloaded"] as const)(
    "%s: nothing was done, so anything is repeated",
    async (code) => {
      const { seen, send } = failing(2, new HedgerowError(code, "not now"));
      await createClient({ addresses: serving({ send }) }).send({});
      expect(seen.calls).toBe(3);
    },
  );

  test.each(["outcome_unknown", "timeout", "stopped", "handler_failed", "internal"] as const)(
    "%s: a send is not repeated",
    async (code) => {
      const { seen, send } = failing(1, new HedgerowError(code, "who knows"));
      const client = createClient({ addresses: serving({ send }) });
      expect((await failureOf(client.send({}))).code).toBe(code);
      expect(seen.calls).toBe(1);
    },
  );

  test("so many at most, then the last error", async () => {
    const { seen, send } = failing(Infinity, new HedgerowError("no_leader", "not now"));
    const client = createClient({ addresses: serving({ send }), retries: 2 });
    expect((await failureOf(client.send({}))).code).toBe("no_leader");
    expect(seen.calls).toBe(3);
  });

  test("not sooner than the node says, and not past the deadline", async () => {
    const busy = new HedgerowError("overloaded", "later", { retryDelayMs: 200 });
    const { send } = failing(1, busy);
    const started = performance.now();
    const client = createClient({ addresses: serving({ send }) });
    await client.send({});
    expect(performance.now() - started).toBeGreaterThanOrEqual(195);
    const busyLonger = new HedgerowError("overloaded", "later", { retryDelayMs: 60_000 });
    const { seen, send: again } = failing(1, busyLonger);
    const hasty = createClient({ addresses: serving({ send: again }), timeoutMs: 30_000 });
    expect((await failureOf(hasty.send({}))).code).toBe("overloaded");
    expect(seen.calls).toBe(1);
  });

  test("a put whose reply was lost is repeated with the id that it had, one that replaces is not", async () => {
    const ids: (string | undefined)[] = [];
    const put = async (_key: string, _value: string, { id }: PutOptions = {}) => {
      ids.push(id);
      if (ids.length === 1) throw new HedgerowError("outcome_unknown", "the reply was lost");
      return { id: id ?? "", timestamp: 1 };
    };
    const client = createClient({ addresses: serving({ put }) });
    const { id } = await client.put({ key: "k", value: "v" });
    expect(id).toMatch(/^[0-9A-Z]{26}$/);
    expect(ids).toEqual([id, id]);
    ids.length = 0;
    const replaced = await failureOf(client.put({ key: "k", value: "v", noAppend: true }));
    expect([replaced.code, ids.length]).toEqual(["outcome_unknown", 1]);
  });

  test("after a lost reply, that nothing was done now says nothing of then", async () => {
    let calls = 0;
    const put = async () => {
      throw calls++ === 0
        ? new HedgerowError("outcome_unknown", "the reply was lost")
        : new HedgerowError("no_leader", "nobody leads");
    };
    const client = createClient({ addresses: serving({ put }), retries: 1 });
    const { code, message } = await failureOf(client.put({ key: "k", value: "v" }));
    expect(code).toBe("outcome_unknown");
    expect(message).toContain("nobody leads");
  });

  test("a stream is opened again only while nothing has come of it", async () => {
    let opened = 0;
    const broadcastStream = async function* () {
      if (opened++ === 0) throw new HedgerowError("unavailable", "not now");
      yield { node: "10.0.0.1:8080", data: Buffer.from("one") };
      throw new HedgerowError("unavailable", "not any more");
    };
    const client = createClient({ addresses: serving({ broadcastStream }) });
    const seen: string[] = [];
    const all = async () => {
      for await (const { node } of client.broadcast({})) seen.push(node);
    };
    expect((await failureOf(all())).message).toBe("not any more");
    expect([opened, seen.length]).toEqual([2, 1]);
  });
});

describe("several addresses", () => {
  test("the next is asked when one is not there, and stays the one that is asked", async () => {
    const asked: string[] = [];
    const there = serving();
    const client = createClient({
      addresses: [NOBODY, there],
      fetch: (url, init) => {
        asked.push(new URL(url).origin);
        return fetch(url, init);
      },
    });
    await client.status({});
    await client.send({});
    expect(asked).toEqual([NOBODY, there, there]);
  });

  test("a node that says nothing costs half of a read's time", async () => {
    const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
    try {
      const client = createClient({
        addresses: [`http://127.0.0.1:${silent.port}`, serving()],
        timeoutMs: 3_000,
      });
      await client.status({}); // fails after all of the time
    } finally {
      silent.stop(true);
    }
  });

  test("the leader that an error names is asked next", async () => {
    const named = (address: string, leads: boolean): Partial<HedgerowNode> => {
      const leader = { address: "10.0.0.3:8080", token: 17, released: false };
      const cutOff = new HedgerowError("unavailable", "the leader is away", { leader });
      return {
        status: () => ({ ...fakeNode().status(), node: address }),
        send: async () => {
          asked.push(address);
          if (!leads) throw cutOff;
          return Buffer.from("done");
        },
      };
    };
    const asked: string[] = [];
    const urls = [
      serving(named("10.0.0.1:8080", false)),
      serving(named("10.0.0.2:8080", false)),
      serving(named("10.0.0.3:8080", true)),
    ];
    const client = createClient({ addresses: urls });
    await client.send({});
    await client.send({});
    expect(asked).toEqual(["10.0.0.1:8080", "10.0.0.3:8080", "10.0.0.3:8080"]);
  });
});
