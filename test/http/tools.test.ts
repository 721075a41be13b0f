import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { until } from "../rpc/kit/wait.ts";
import { appKit } from "./app-kit.ts";

// What tools and balancers ask of any gRPC server, on the http listener: in Connect and gRPC-Web.

const ask = async (kit: ReturnType<typeof appKit>, path: string, request: object) => {
  const response = await kit.ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(request),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

test("health says what /readyz says", async () => {
  let ready = true;
  const kit = appKit({
    ready: () =>
      ready ? Promise.resolve() : Promise.reject(new HedgerowError("stopped", "it stops")),
  });
  const check = "/grpc.health.v1.Health/Check";
  const service = "hedgerow.v1.HedgerowService";
  expect(await ask(kit, check, { service })).toEqual({ status: 200, body: { status: "SERVING" } });
  ready = false;
  expect((await kit.ask("/readyz")).status).toBe(503);
  await until("what was asked before is old", async () => {
    return (await ask(kit, check, {})).body.status === "NOT_SERVING";
  });
  expect((await ask(kit, check, { service: "no.Such" })).body.code).toBe("not_found");
});

test("there is reflection, and nothing else of gRPC's", async () => {
  const kit = appKit();
  for (const version of ["v1", "v1alpha"]) {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const response = await kit.ask(path, {
      method: "POST",
      headers: { "content-type": "application/grpc-web+json" },
      // One message, {"listServices": ""}.
      body: new Uint8Array([0, 0, 0, 0, 19, ...Buffer.from('{"listServices":""}')]),
    });
    expect(await response.text()).toContain('"name":"hedgerow.v1.HedgerowService"');
  }
  expect((await ask(kit, "/grpc.health.v1.Health/Chock", {})).status).toBe(404);
  expect((await kit.ask("/grpc.channelz.v1.Channelz/GetServers")).status).toBe(404);
});
