import { expect, test } from "bun:test";
import { type ConnectError, Code } from "@connectrpc/connect";
import { HedgerowError } from "../../../src/errors.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { until } from "../../rpc/kit/wait.ts";
import { GrpcKit } from "./grpc-kit.ts";

const SERVICE = "hedgerow.v1.HedgerowService";
const NOT_READY = new HedgerowError("stopped", "the node is stopping");

test.each(["", SERVICE, "grpc.health.v1.Health"])(
  "Check %p says whether the node is ready",
  async (service) => {
    for (const [ready, status] of [
      [async () => {}, Status.SERVING],
      [() => Promise.reject(NOT_READY), Status.NOT_SERVING],
    ] as const) {
      await using kit = await GrpcKit.serving({ ready });
      expect((await kit.client(Health).check({ service })).status).toBe(status);
    }
  },
);

test("a node that does not say whether it is ready is not, within a probe's time", async () => {
  await using kit = await GrpcKit.serving({ ready: () => new Promise<void>(() => {}) });
  const { status } = await kit.client(Health).check({}, { timeoutMs: 20_000 });
  expect(status).toBe(Status.NOT_SERVING);
});

test("List names all services with their states", async () => {
  await using kit = await GrpcKit.serving();
  const { statuses } = await kit.client(Health).list({});
  expect(Object.keys(statuses).sort()).toEqual(["", "grpc.health.v1.Health", SERVICE]);
  expect(statuses[SERVICE]?.status).toBe(Status.SERVING);
});

test("a service that is not there: Check fails, Watch says so and goes on", async () => {
  await using kit = await GrpcKit.serving();
  const client = kit.client(Health);
  const error = await client.check({ service: "no.Such" }).catch((thrown: unknown) => thrown);
  expect((error as ConnectError).code).toBe(Code.NotFound);
  const watch = client.watch({ service: "no.Such" }, { timeoutMs: 2_000 })[Symbol.asyncIterator]();
  expect((await watch.next()).value?.status).toBe(Status.SERVICE_UNKNOWN);
  const end = await watch.next().catch((thrown: unknown) => thrown);
  expect((end as ConnectError).code).toBe(Code.DeadlineExceeded);
});

test("Watch tells the state, and each change of it", async () => {
  let ready = true;
  await using kit = await GrpcKit.serving({
    ready: () => (ready ? Promise.resolve() : Promise.reject(NOT_READY)),
  });
  const watch = kit.client(Health).watch({ service: SERVICE })[Symbol.asyncIterator]();
  expect((await watch.next()).value?.status).toBe(Status.SERVING);
  ready = false;
  expect((await watch.next()).value?.status).toBe(Status.NOT_SERVING);
  ready = true;
  expect((await watch.next()).value?.status).toBe(Status.SERVING);
});

test("a client may watch so many times at once, and again when it has left", async () => {
  await using kit = await GrpcKit.serving();
  const client = kit.client(Health);
  const leaving = new AbortController();
  const watch = () => client.watch({}, leaving)[Symbol.asyncIterator]().next();
  await Promise.all(Array.from({ length: 100 }, watch));
  const error = await watch().catch((thrown: unknown) => thrown);
  expect((error as ConnectError).code).toBe(Code.ResourceExhausted);
  expect((await client.check({})).status).toBe(Status.SERVING);
  leaving.abort();
  await until("there is room again", async () => {
    const next = client.watch({})[Symbol.asyncIterator]().next();
    return (await next.catch(() => null)) !== null;
  });
});

test("at a stop those who watch hear of it before the stream ends", async () => {
  await using kit = await GrpcKit.serving();
  const watch = kit.client(Health).watch({})[Symbol.asyncIterator]();
  expect((await watch.next()).value?.status).toBe(Status.SERVING);
  const last = watch.next();
  await kit.listener.stop();
  expect((await last).value?.status).toBe(Status.NOT_SERVING);
  const end = await watch.next().catch((thrown: unknown) => thrown);
  expect((end as ConnectError).code).toBe(Code.Unavailable);
});

test("however many ask at one time, the node is asked once", async () => {
  let asked = 0;
  await using kit = await GrpcKit.serving({
    async ready() {
      asked++;
    },
  });
  const client = kit.client(Health);
  await client.check({});
  await Promise.all(Array.from({ length: 50 }, () => client.check({})));
  expect(asked).toBeLessThan(5);
});
