import type { Exchange } from "./exchange.ts";

type StreamInit = BunFetchRequestInit & { readonly duplex: "half" };

/** Resolves at the end of the answer. */
export async function exchangeOverFetch(
  send: (init: StreamInit) => Promise<Response>,
  exchange: Exchange,
): Promise<void> {
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const bytes = await exchange.next();
        if (bytes === null) controller.close();
        else controller.enqueue(bytes);
      },
    },
    { highWaterMark: 0 },
  );
  const { headers, signal } = exchange;
  const response = await send({ method: "POST", headers, body, duplex: "half", signal });
  exchange.answered(response.status, response.headers);
  if (response.body === null) return;
  for await (const bytes of response.body) exchange.receive(bytes);
}
