import { expect, test } from "bun:test";
import { HedgerowError } from "../../src/errors.ts";
import { appKit } from "./app-kit.ts";

test("/livez answers as long as the process runs", async () => {
  const response = await appKit({ ready: () => new Promise(() => {}) }).ask("/livez");
  expect([response.status, await response.text()]).toEqual([200, "ok\n"]);
});

test("/readyz says in one line what is missing", async () => {
  const ready = async () => {
    throw new HedgerowError("no_leader", "no leader is known yet");
  };
  const response = await appKit({ ready }).ask("/readyz");
  expect([response.status, await response.text()]).toEqual([503, "no leader is known yet\n"]);
});

test("/readyz is 200 once the node is ready", async () => {
  expect((await appKit().ask("/readyz")).status).toBe(200);
});

test("/readyz does not hang when the store does", async () => {
  const response = await appKit({ ready: () => new Promise(() => {}) }).ask("/readyz");
  expect(response.status).toBe(503);
  expect(await response.text()).toMatch(/^readiness: not done within \d+ ms\n$/);
});

test("an unknown route names what there is", async () => {
  const response = await appKit().ask("/nope");
  expect(response.status).toBe(404);
  expect(await response.text()).toMatch(/^no route \/nope: there are \/put \/get .*\n$/);
});

test("no browser takes a value for a page", async () => {
  const { ask, post } = appKit();
  await post("/put", "k <script>alert(1)</script>");
  const { headers } = await ask("/get", { method: "POST", body: "k" });
  expect(headers.get("content-type")).toBe("text/plain; charset=utf-8");
  expect(headers.get("x-content-type-options")).toBe("nosniff");
});
