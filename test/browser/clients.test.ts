// Pages of another origin call the built binary from headless Chromium.
import { afterAll, beforeAll, expect } from "bun:test";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { Cluster } from "../cluster/processes.ts";
import { bundle, launchChromium, openPage, PageOrigin, testInBrowser } from "./chromium.ts";
import type { Protocol } from "./pages/connect-web.ts";

declare function run(...given: unknown[]): Promise<unknown>;

const script = (path: string) => `<!doctype html><script type="module" src="${path}"></script>`;

/** The page of docs/CLIENTS.md. */
async function documented(): Promise<string> {
  const text = await Bun.file(join(import.meta.dir, "../../docs/CLIENTS.md")).text();
  const html = /```html\n(.*?)```/s.exec(text)?.[1];
  if (html === undefined) throw new Error("docs/CLIENTS.md shows no page");
  return html;
}

const files = new Map<string, string>();
let browser: Browser;
let listed: PageOrigin;
let foreign: PageOrigin;
let cluster: Cluster;
let addresses: string[];

beforeAll(async () => {
  const launched = await launchChromium();
  if (launched === null) return; // and all is skipped
  browser = launched;
  const pages = join(import.meta.dir, "pages");
  files.set("/connect-web.js", await bundle(join(pages, "connect-web.ts")));
  files.set("/connect-web", script("/connect-web.js"));
  files.set("/client.js", await bundle(join(pages, "client.ts")));
  files.set("/client", script("/client.js"));
  listed = new PageOrigin(files);
  foreign = new PageOrigin(files);
  cluster = await Cluster.start({ nodes: 2, flags: ["--cors-origin", listed.origin] });
  await cluster.settled();
  addresses = cluster.nodes.map(({ address }) => address).sort();
  files.set(
    "/documented",
    (await documented()).replaceAll("http://127.0.0.1:9090", cluster.nodes[0]?.url ?? ""),
  );
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await cluster?.[Symbol.asyncDispose]();
  await listed?.[Symbol.asyncDispose]();
  await foreign?.[Symbol.asyncDispose]();
});

const PROTOCOLS = [
  "Connect, JSON",
  "Connect, binary",
  "gRPC-Web",
  "gRPC-Web, JSON",
] satisfies Protocol[];

for (const [i, protocol] of PROTOCOLS.entries()) {
  testInBrowser(
    `@connectrpc/connect-web across origins: ${protocol}`,
    async () => {
      const page = await openPage(browser, `${listed.origin}/connect-web`);
      const url = cluster.nodes[i % 2]?.url ?? "";
      const seen = await page.evaluate(([node, spoken]) => run(node, spoken), [url, protocol]);
      expect(seen).toEqual({
        id: "one",
        value: "first",
        replies: addresses,
        seen: ["first", "second"],
        conflict: { code: "AlreadyExists", detail: "conflict" },
        taken: { code: "ResourceExhausted", detail: "taken" },
        heldAgain: true,
        badStream: { code: "InvalidArgument", detail: "invalid_argument" },
        deadline: { code: "DeadlineExceeded", detail: expect.any(String) },
      });
      await page.close();
    },
    30_000,
  );
}

testInBrowser(
  "hedgerow/client, at a node that is not there and two that are",
  async () => {
    const page = await openPage(browser, `${listed.origin}/client`);
    const urls = ["http://127.0.0.1:1", ...cluster.nodes.map(({ url }) => url)];
    expect(await page.evaluate((given) => run(given), urls)).toEqual({
      same: true,
      replies: addresses,
      members: 2,
      conflict: ["conflict", true],
      heldAgain: true,
    });
    await page.close();
  },
  30_000,
);

testInBrowser(
  "the page of docs/CLIENTS.md",
  async () => {
    const page = await openPage(browser, `${listed.origin}/documented`);
    await page.getByText("hello from a page").waitFor({ timeout: 10_000 });
    await page.close();
  },
  30_000,
);

testInBrowser(
  "a page of an origin that is not listed reads nothing and writes nothing",
  async () => {
    const page = await openPage(browser, `${foreign.origin}/connect-web`);
    const [node] = cluster.nodes;
    const url = `${node?.url}/hedgerow.v1.HedgerowService/Put`;
    const failures = await page.evaluate(async (target) => {
      const body = '{"key":"foreign","value":"v","id":"one"}';
      const attempt = (init: RequestInit) =>
        fetch(target, { method: "POST", body, ...init }).then(
          (response) => String(response.status),
          () => "failed",
        );
      return [
        await attempt({ headers: { "content-type": "application/json" } }),
        await attempt({}),
        await attempt({ mode: "no-cors" }),
      ];
    }, url);
    // The last says nothing either way: what it sent was refused, and what came back is opaque.
    expect(failures).toEqual(["failed", "failed", "0"]);
    expect(await node?.entries("foreign")).toEqual([]);
    await page.close();
  },
  30_000,
);
