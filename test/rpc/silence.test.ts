import { expect, test } from "bun:test";
import { TestCluster } from "./kit/cluster.ts";
import { bytes, deliver, echo, listen, peers } from "./kit/nodes.ts";
import { silenceableProxy } from "./kit/proxy.ts";

for (const kind of ["plain text", "TLS"] as const) {
  test(`a connection that went silent is given up for a new one after one time-out (${kind})`, async () => {
    const cluster = new TestCluster();
    const tls = kind === "TLS" ? cluster.member("a") : null;
    const proxy = await silenceableProxy(listen({ routes: [echo], tls }).port);
    const clients = peers({ tls: () => tls });
    const call = (timeoutMs: number) =>
      clients.unary(proxy.address, deliver, { data: bytes("x") }, { timeoutMs });
    await call(2_000);
    await call(2_000);
    const before = proxy.opened();
    proxy.silence();
    await expect(call(200)).rejects.toMatchObject({ code: "timeout" });
    await call(2_000);
    expect(proxy.opened()).toBe(before + 1);
  });
}

test("a slow handler beside answers of the peer costs no connection", async () => {
  const slow = listen({
    routes: [
      {
        ...echo,
        handle: async (request, call) => {
          const { data } = request as { data: Uint8Array };
          if (data.length > 1)
            await new Promise((resolve) => call.signal?.addEventListener("abort", resolve));
          return { data };
        },
      },
    ],
  });
  const proxy = await silenceableProxy(slow.port);
  const clients = peers();
  const call = (text: string, timeoutMs: number) =>
    clients.unary(proxy.address, deliver, { data: bytes(text) }, { timeoutMs });
  await Promise.all([call("x", 2_000), call("x", 2_000)]);
  const hanging = call("hang", 300);
  hanging.catch(() => {});
  await call("x", 2_000);
  await expect(hanging).rejects.toMatchObject({ code: "timeout" });
  const before = proxy.opened();
  await call("x", 2_000);
  expect(proxy.opened()).toBe(before);
});
