import type { Exchange } from "./exchange.ts";
import { copyOf } from "./frame-writer.ts";

type StreamInit = BunFetchRequestInit & { readonly duplex: "half" };

/** Resolves at the end of the answer. Within one process: what one side has is never the other side's, too. */
export async function exchangeOverFetch(
  send: (init: StreamInit) => Promise<Response>,
  exchange: Exchange,
): Promise<void> {
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const next = await exchange.next();
        if (next === null) controller.close();
        else controller.enqueue(copyOf(next));
      },
    },
    { highWaterMark: 0 },
  );
  const { headers, signal } = exchange;
  const response = await send({ method: "POST", headers, body, duplex: "half", signal });
  exchange.answered(response.status, response.headers);
  if (response.body === null) return;
  for await (const bytes of response.body) exchange.receive(bytes.slice());
}
