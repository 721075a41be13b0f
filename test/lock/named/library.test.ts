import { expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hedgerow, type HeldLock, type HedgerowNode } from "../../../src/index.ts";
import { until } from "../../rpc/kit/wait.ts";

/** Two nodes on one file, as a program has them. */
async function withNodes(use: (a: HedgerowNode, b: HedgerowNode) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "hedgerow-locks-"));
  const options = { store: `sqlite:${join(folder, "h.db")}`, address: "127.0.0.1:0" };
  try {
    await using a = await Hedgerow.start(options);
    await using b = await Hedgerow.start(options);
    await until("they know their leader and each other", () =>
      [a, b].every((node) => node.leader !== null && node.members().length === 2),
    );
    await use(a, b);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test("await using holds a lock to the end of its block, and the next waiter has it", async () => {
  await withNodes(async (a, b) => {
    const order: string[] = [];
    let waiting: Promise<HeldLock>;
    {
      await using held = await a.lock("jobs").acquire();
      waiting = b.lock("jobs").acquire({ timeoutMs: 5_000 });
      const refused = await b
        .lock("jobs")
        .tryAcquire()
        .catch((error: { code: string }) => error.code);
      expect(refused).toBe("taken");
      expect(held.signal.aborted).toBe(false);
      expect(held.heldForMs).toBeGreaterThan(5_000);
      await a.put("guarded", "by the first", { fence: held });
      order.push("released");
    }
    await using next = await waiting;
    order.push("had");
    expect(order).toEqual(["released", "had"]);
    expect(Number(next.token)).toBeGreaterThan(0);
    await b.put("guarded", "by the next", { fence: next });
    expect((await a.get("guarded"))[0]?.value).toBe("by the next");
  });
});

test("a put with the token of a former holder is refused", async () => {
  await withNodes(async (a, b) => {
    const former = await a.lock("jobs").acquire();
    await former.release();
    await using _ = await b.lock("jobs").acquire();
    const { name, token } = former;
    const stale = a.put("guarded", "stale", { fence: { name, token } });
    expect(await stale.catch((error: { code: string }) => error.code)).toBe("fenced");
    expect(await a.get("guarded")).toEqual([]);
  });
});

test("a node that stops gives its lock up, and takes none any more", async () => {
  await withNodes(async (a, b) => {
    const held = await a.lock("jobs").acquire();
    const lost = Promise.withResolvers<unknown>();
    held.signal.addEventListener("abort", () => lost.resolve(held.signal.reason));
    const waiting = b.lock("jobs").acquire({ timeoutMs: 5_000 });
    await a.stop();
    expect(await lost.promise).toMatchObject({ code: "claim_lost" });
    await (await waiting).release();
    const late = a.lock("jobs").acquire();
    expect(await late.catch((error: { code: string }) => error.code)).toBe("stopped");
  });
});
