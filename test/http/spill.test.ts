import { expect, test } from "bun:test";
import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { HedgerowError } from "../../src/errors.ts";
import { SpillWriteRequestSchema } from "../../src/gen/hedgerow/v1/hedgerow_pb.ts";
import { spillWrite } from "../../src/http/spill.ts";
import type { HedgerowNode } from "../../src/node/api.ts";
import { spillOf } from "../spill/kit.ts";

const context = { signal: new AbortController().signal } as HandlerContext;

test("a stream that writes to one store and then names another one is refused; what it wrote before stays", async () => {
  const spill = spillOf();
  const node = { spill: (name) => spill.store(name) } as Pick<HedgerowNode, "spill">;
  const write = (...names: string[]) =>
    spillWrite(
      node as HedgerowNode,
      (async function* () {
        for (const name of names) {
          yield create(SpillWriteRequestSchema, { name, records: [new Uint8Array(1)] });
        }
      })(),
      context,
    );
  expect((await write("a", "", "a")).records).toBe(3n);
  const error = await write("a", "b").catch((thrown: unknown) => thrown);
  expect(HedgerowError.is(error, "invalid_argument")).toBe(true);
  expect(String(error)).toContain("of this call's records 1 were taken, and stay");
  expect([spill.find("a").count, spill.size]).toEqual([4, 1]);
  await spill.stop();
});
