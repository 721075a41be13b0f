import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { atEnd } from "./nodes.ts";

/** A way to a listener whose connections can be made to swallow everything, without a sign to either side. */
export async function silenceableProxy(port: number) {
  const links: { silent: boolean; readonly ends: readonly Socket[] }[] = [];
  const server = createServer((down) => {
    const up = connect(port, "127.0.0.1");
    const link = { silent: false, ends: [down, up] };
    links.push(link);
    down.on("data", (chunk) => link.silent || up.write(chunk));
    up.on("data", (chunk) => link.silent || down.write(chunk));
    // One side's end is the other's; a reset is an end too.
    down.on("error", () => down.destroy()).on("close", () => link.silent || up.destroy());
    up.on("error", () => up.destroy()).on("close", () => link.silent || down.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  atEnd(() => {
    for (const end of links.flatMap(({ ends }) => ends)) end.destroy();
    server.close();
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    opened: () => links.length,
    silence: () => {
      for (const link of links) link.silent = true;
    },
  };
}
