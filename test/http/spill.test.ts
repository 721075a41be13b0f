import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { HedgerowError } from "../../src/errors.ts";
import { SpillWriteRequestSchema } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { spillWrite } from "../../src/http/spill.ts";
import type { HedgerowNode } from "../../src/node/api.ts";
import { stoppedReason } from "../../src/rpc/handlers.ts";
import type { Spill } from "../../src/spill/spill.ts";
import { spillOf } from "../spill/kit.ts";

const context = { signal: new AbortController().signal } as HandlerContext;

const nodeWith = (spill: Spill) =>
  ({
    spill: (name, limits) => spill.store(name, limits),
    findSpill: (name) => spill.find(name),
  }) as HedgerowNode;

test("a stream that writes to one store and then names another one is refused; what it wrote before stays", async () => {
  const spill = spillOf();
  const node = nodeWith(spill);
  const write = (...names: string[]) =>
    spillWrite(
      node,
      (async function* () {
        for (const name of names) {
          yield create(SpillWriteRequestSchema, { name, records: [new Uint8Array(1)] });
        }
      })(),
      context,
    );
  const written = await write("a", "", "a");
  expect([written.records, written.created, written.store?.references]).toEqual([3n, true, 0]);
  expect((await write("a")).created).toBe(false);
  const error = await write("a", "b").catch((thrown: unknown) => thrown);
  expect(HedgerowError.is(error, "invalid_argument")).toBe(true);
  expect(String(error)).toContain("of this call's records 1 were taken, and stay");
  expect([spill.find("a").count, spill.size]).toEqual([5, 1]);
  await spill.stop();
});

test.each([
  [
    "was closed",
    (spill: Spill) => spill.find("a").close(),
    "not_found",
    "was closed: open it anew",
  ],
  [
    "ends with its node",
    (spill: Spill) => spill.stop(),
    "stopped",
    "and spill store a ends with it, its records too: write it anew at another node",
  ],
] as const)("of a store that %s nothing is said to stay", async (_, end, code, said) => {
  const spill = spillOf();
  const requests = (async function* () {
    const records = [new Uint8Array(1)];
    yield create(SpillWriteRequestSchema, { name: "a", records });
    await end(spill);
    yield create(SpillWriteRequestSchema, { records });
  })();
  const error = await spillWrite(nodeWith(spill), requests, context).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(HedgerowError);
  expect([error.code, error.message.endsWith(said)]).toEqual([code, true]);
  await spill.stop();
});

test("a listener that stops says what becomes of the store", async () => {
  const spill = spillOf();
  const listener = new AbortController();
  const requests = (async function* () {
    yield create(SpillWriteRequestSchema, { name: "a", records: [new Uint8Array(1)] });
    listener.abort(stoppedReason());
  })();
  const { signal } = listener;
  const call = spillWrite(nodeWith(spill), requests, { signal } as HandlerContext);
  await expect(call).rejects.toMatchObject({
    code: "stopped",
    message: expect.stringContaining("its records too: write it anew at another node"),
  });
  await spill.stop();
});

test.each([
  [{ memoryBytes: 1n }, "limits.memoryBytes 67108864, not 1"],
  [{ diskBytes: 1n }, "limits.diskBytes 67108864, not 1"],
  [{ expiry: { seconds: 9n } }, "limits.expiry 30s, not 9s"],
  [
    { expiry: { nanos: 50_000_000 } },
    "limits.expiry 0.05s: give whole milliseconds, 0.1s to 86400s",
  ],
])(
  "limits that are not the store's, or none, are named by their fields: %p",
  async (limits, said) => {
    const spill = spillOf();
    spill.store("a");
    const request = create(SpillWriteRequestSchema, { name: "a", limits });
    const requests = (async function* () {
      yield request;
    })();
    const error = await spillWrite(nodeWith(spill), requests, context).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(HedgerowError);
    expect(error.message).toContain(said);
    await spill.stop();
  },
);
